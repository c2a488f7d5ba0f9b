import { createService, type SvcCommService } from '../assemble.ts';
import { Assembly } from '../assembly/assembly.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { MessageRouter } from '../router/router.ts';
import type { Settings } from '../settings/define.ts';
import { resolveSettings } from '../settings/resolve.ts';
import { sleep } from '../util/sleep.ts';
import { Audit } from './audit.ts';
import { gremlin } from './gremlin.ts';
import { Post } from './post.ts';
import { type DemoReport, judge } from './report.ts';
import { type DemoNames, type DemoOptions, demoNames, SCENARIO } from './scenario.ts';
import { Shop } from './shop.ts';
import type { Stage } from './stage.ts';

/** After the last order everything has this long to come to rest. */
const SETTLE_MS = 30_000;
const LOOK_EVERY_MS = 100;

/**
 * A small shop of two services, from orders to shipments, with rollbacks, failures, copies and future events.
 * @param signal ends it early; what it made on the servers is taken away all the same
 * @returns what another connection read from broker and tables when all was quiet
 * @throws SettingsError, BrokerUnavailableError, DatabaseUnavailableError and their like, or the signal's reason
 */
export async function runDemo(
  options: DemoOptions,
  { stage, logger, signal }: { readonly stage: Stage; readonly logger: Logger; readonly signal: AbortSignal },
): Promise<DemoReport> {
  const names = demoNames();
  const router = new MessageRouter();
  const shopService = createService(settingsOf('shop', names, options), { logger });
  const postService = createService(settingsOf('post', names, options), { logger, messageRouter: router });
  try {
    const shopAt = await shopService.endpoints();
    const postAt = await postService.endpoints();
    const settings = resolveSettings({ ...settingsOf('audit', names, options), brokerUrl: shopAt.brokerUrls });
    const observer = new Assembly(settings, { logger, messageRouter: router });
    const audit = new Audit(observer, names, { shop: shopAt.databaseUrl ?? '', post: postAt.databaseUrl ?? '' });
    const copier = gremlin(observer, names, stage);
    const shop = new Shop(shopService, names, stage);
    const open = async () => {
      await audit.start();
      await shop.open();
      await new Post(postService, names, stage).open(router);
      await copier.start();
    };
    const close = async () => {
      await copier.stop();
      await audit.cleanUp().finally(() => audit.stop());
    };
    return await between(open, () => play({ shop, shopService, postService, audit, stage, signal }), close);
  } finally {
    await Promise.all([shopService.close(), postService.close()]);
  }
}

/** What stopped it is what there is to tell, not what then could not be cleaned up. */
async function between<T>(open: () => Promise<void>, work: () => Promise<T>, close: () => Promise<void>): Promise<T> {
  let result: T;
  try {
    await open();
    result = await work();
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
  await close();
  return result;
}

interface Cast {
  readonly shop: Shop;
  readonly shopService: SvcCommService;
  readonly postService: SvcCommService;
  readonly audit: Audit;
  readonly stage: Stage;
  readonly signal: AbortSignal;
}

async function play({ shop, shopService, postService, audit, stage, signal }: Cast): Promise<DemoReport> {
  const consumer = postService.consumer();
  const relay = shopService.relay();
  try {
    await Promise.all([consumer.start(), relay.start()]);
    await shop.takeOrders(signal);
    const deadline = performance.now() + SETTLE_MS;
    // What is being handled is in no queue: the consumer is asked as well, and drained before the figures are read.
    while (!((await audit.isQuiet()) && consumer.stats.inFlight === 0 && (await audit.isQuiet()))) {
      signal.throwIfAborted();
      if (performance.now() > deadline) break;
      await sleep(LOOK_EVERY_MS, signal);
    }
  } finally {
    await Promise.all([consumer.stop(), relay.stop()]);
  }
  const figures = await audit.figures();
  if (figures.deadLettered > 0) {
    stage.happened('dead-lettered', `order ${SCENARIO.poisonOrder}, after ${SCENARIO.attempts} runs`);
  }
  stage.close();
  return judge(figures);
}

function settingsOf(role: 'shop' | 'post' | 'audit', names: DemoNames, options: DemoOptions): Settings {
  const { brokerUrl = 'embedded:memory', databaseUrl = 'embedded:memory', sabotage } = options;
  return {
    appId: `demo-${role}`,
    brokerUrl,
    databaseUrl,
    queue: role === 'post' ? names.postQueue : names.shopQueue,
    schema: role === 'post' ? names.postSchema : names.shopSchema,
    retry: { attempts: SCENARIO.attempts, delays: [SCENARIO.retryDelay] },
    ...(sabotage === 'no-inbox' && { inbox: { enabled: false } }),
    wait: false,
    logLevel: 'silent',
  };
}

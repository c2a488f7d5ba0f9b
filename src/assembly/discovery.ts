import { hostname } from 'node:os';
import { BrokerNoticeBoard } from '../broker/notice-board.ts';
import { within } from '../broker/within.ts';
import { Announcer } from '../discovery/announcer.ts';
import { Directory } from '../discovery/directory.ts';
import { DISCOVERY_TIMES } from '../discovery/options.ts';
import { overviewOf, type ServicesOverview } from '../discovery/overview.ts';
import { Presence, type RoleReport } from '../discovery/presence.ts';
import { SERVICES_EXCHANGE } from '../discovery/topics.ts';
import { DiscoveryUnavailableError, StartAbortedError } from '../errors.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { group } from '../lifecycle/group.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service } from '../lifecycle/service.ts';
import { SharedService } from '../lifecycle/shared.ts';
import type { NoticeBoard, NoticeOptions } from '../message/notices.ts';
import { packageVersion } from '../settings/project.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';
import { once } from '../util/once.ts';
import { packageRoot } from '../util/own-files.ts';
import { sleep } from '../util/sleep.ts';
import type { Assembly } from './assembly.ts';

/** Of this process: several services may be parts of one, as those of `svc-comm dev` are. */
const presences = new Map<string, Presence>();

/**
 * Tells other services of this one, and knows of them: over one connection of its own, so that whatever becomes of it
 * is nobody else's trouble.
 */
export class Discovery {
  readonly #assembly: Assembly;

  constructor(assembly: Assembly) {
    this.#assembly = assembly;
  }

  readonly #connection = once(() => {
    const { closeMs } = DISCOVERY_TIMES;
    return new SharedService(this.#assembly.connection('services', { logger: this.#quiet, closeTimeoutMs: closeMs }));
  });

  readonly #presence = once(() => presenceOf(this.#assembly));

  readonly #announcer = once(() => {
    const { settings, logger } = this.#assembly;
    return new Announcer({
      presence: this.#presence(),
      openBoard: (options) => this.#board(options),
      everyMs: settings.discovery.everyMs,
      logger,
    });
  });

  readonly #announcing = once(
    () => new SharedService(group('announcement', [this.#connection().use(), this.#announcer()])),
  );

  readonly #directory = once(() => {
    const directory = new Directory({ openBoard: (options) => this.#board(options), clock: systemClock });
    return { directory, service: group('services', [this.#connection().use(), directory]) };
  });

  /** Why there is none; undefined: there is. */
  get #offReason(): string | undefined {
    const { discovery, declare } = this.#assembly.settings;
    if (!discovery.enabled) return 'the setting discovery.enabled is false';
    return declare === 'none' ? "the setting declare is 'none'" : undefined;
  }

  /** Tells of a role while it runs: the last in the role's order of start. Neither start nor stop waits for the broker. */
  report(report: RoleReport): Service {
    let end = () => {};
    return new Lifecycle(`announcement of the ${report.role}`, {
      start: async () => {
        if (this.#offReason !== undefined) return this.#sayOff(this.#offReason);
        const leave = this.#presence().enter(report);
        const announcing = this.#announcing().use();
        announcing.start().catch((error: unknown) => {
          if (error instanceof StartAbortedError) return;
          this.#assembly.logger.warn({ error }, 'other services do not hear of this one');
        });
        end = () => {
          leave();
          this.#announcer().sayGoodbye();
          void announcing.stop().catch(() => undefined);
        };
      },
      stop: async () => {
        end();
        end = () => {};
      },
    });
  }

  /**
   * Who is there. The first time it asks, and waits for answers; from then on it listens.
   * @throws DiscoveryUnavailableError, BrokerUnavailableError, BrokerAccessRefusedError
   */
  async overview(): Promise<ServicesOverview> {
    if (this.#offReason !== undefined) throw new DiscoveryUnavailableError(this.#offReason);
    const { directory, service } = this.#directory();
    const { brokerMs, answersMs } = DISCOVERY_TIMES;
    const unavailable = () => this.#connection().service.unavailable(`none within ${brokerMs} ms`);
    if (service.state !== 'running') await within(brokerMs + answersMs, service.start(), unavailable);
    return overviewOf(directory.present, directory.isHearing);
  }

  /** Ends what `report` and `overview` have started; what the broker does not answer in time is cut. */
  async stop(): Promise<void> {
    const services: readonly Service[] = [
      ...(this.#announcing.isMade ? [this.#announcing().service] : []),
      ...(this.#directory.isMade ? [this.#directory().service] : []),
    ];
    if (services.length === 0) return;
    const stopped = Promise.all(services.map((service) => service.stop()));
    stopped.catch(() => undefined);
    await Promise.race([stopped, sleep(DISCOVERY_TIMES.closeMs)]);
    await this.#connection().service.stop();
    await stopped;
  }

  #board(options: NoticeOptions): NoticeBoard {
    const { declare } = this.#assembly.settings;
    return new BrokerNoticeBoard({
      ...options,
      connection: this.#connection().service,
      exchange: SERVICES_EXCHANGE,
      declare: declare === 'verify' ? 'verify' : 'create',
      ttlMs: DISCOVERY_TIMES.ttlMs,
      logger: this.#quiet,
    });
  }

  /** That the broker is lost and found the other connections say as well. */
  get #quiet(): Logger {
    const { logger } = this.#assembly;
    const debug = (fields: object, text: string) => logger.debug(fields, text);
    return { debug, info: debug, warn: debug, error: debug };
  }

  #wasOffSaid = false;

  #sayOff(reason: string): void {
    const { logger, settings } = this.#assembly;
    if (this.#wasOffSaid || !settings.discovery.enabled) return;
    this.#wasOffSaid = true;
    logger.info({ reason }, 'other services do not hear of this one');
  }
}

function presenceOf({ settings, embedded }: Assembly): Presence {
  const { appId, brokerUrls } = settings;
  const make = () => new Presence(appId, identityOf(settings));
  if (embedded.hasGivenServers) return make();
  const key = JSON.stringify([appId, settings.root, brokerUrls]);
  const presence = presences.get(key) ?? make();
  presences.set(key, presence);
  return presence;
}

const identityOf = ({ root, queue }: ResolvedSettings) => ({
  version: packageVersion(root) ?? '',
  library: packageVersion(packageRoot()) ?? '',
  host: hostname(),
  pid: process.pid,
  queue: queue.name,
});

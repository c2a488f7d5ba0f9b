import { unprotected } from '../database/transport.ts';
import { describeOrigin } from '../router/route.ts';
import { routedBy, topologySpec } from '../settings/parts.ts';
import { isLoopback } from '../util/is-loopback.ts';
import { maskWholeUrl } from '../util/mask.ts';
import type { Examination } from './examination.ts';
import { type Finding, ok, problem } from './problems.ts';

/** RabbitMQ's `consumer_timeout` where nobody has changed it. */
const CONSUMER_TIMEOUT_MS = 1_800_000;

export function settingsFindings({ settings, assembly, router }: Examination): Finding[] {
  const { appId, root, concurrency, pool, handlerTimeoutMs, queue } = settings;
  const findings = [ok('settings', `app id ${appId}, queue ${queue.name}, project ${root}`)];
  // The embedded database has one backend for all, and handlers run one at a time.
  const hasPool = assembly.hasDatabase && assembly.usesOwnPool && !assembly.embedded.database;
  if (hasPool && router && pool.max < concurrency + 1) {
    findings.push(problem('pool-small', `pool.max is ${pool.max} and concurrency is ${concurrency}`));
  }
  if (handlerTimeoutMs >= CONSUMER_TIMEOUT_MS) {
    findings.push(problem('deadline-grace', `handlerTimeout is ${handlerTimeoutMs / 60_000} min`));
  }
  findings.push(...plainTextFindings(settings, assembly));
  const spec = topologySpec(settings, router?.bindings() ?? []);
  for (const route of router?.unbound(routedBy(spec)) ?? []) {
    findings.push(
      problem('consumers-unbound', `${describeOrigin(route)} is not among the binds of queue ${queue.name}`),
    );
  }
  return findings;
}

/** Of what leaves this machine. */
function plainTextFindings(
  { brokerUrls, databaseUrl }: Examination['settings'],
  { embedded }: Examination['assembly'],
) {
  const findings: Finding[] = [];
  for (const url of embedded.broker ? [] : brokerUrls) {
    const { protocol, hostname } = new URL(url);
    if (protocol !== 'amqp:' || isLoopback(hostname.replaceAll(/[[\]]/g, ''))) continue;
    findings.push(problem('plain-text', `plain text to the broker at ${maskWholeUrl(url)}`));
  }
  const lack = databaseUrl === undefined || embedded.database ? undefined : unprotected(databaseUrl);
  if (lack) findings.push(problem('plain-text', `${lack} to the database at ${maskWholeUrl(databaseUrl ?? '')}`));
  return findings;
}

import { describeOrigin } from '../router/route.ts';
import { routedBy, topologySpec } from '../settings/parts.ts';
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
  const spec = topologySpec(settings, router?.bindings() ?? []);
  for (const route of router?.unbound(routedBy(spec)) ?? []) {
    findings.push(
      problem('consumers-unbound', `${describeOrigin(route)} is not among the binds of queue ${queue.name}`),
    );
  }
  return findings;
}

import { BrokerConnection, type BrokerConnectionOptions } from '../broker/connection.ts';
import { BrokerInspection } from '../broker/inspection.ts';
import {
  BrokerAccessRefusedError,
  BrokerTlsError,
  BrokerUnavailableError,
  EmbeddedStateError,
  type TopologyDifference,
} from '../errors.ts';
import { deadQueueName, retryQueueName, type TopologySpec } from '../message/topology.ts';
import { topologySpec } from '../settings/parts.ts';
import { countText } from '../util/count-text.ts';
import { maskWholeUrl } from '../util/mask.ts';
import { messageOf } from '../util/thrown.ts';
import type { Examination } from './examination.ts';
import { type Finding, ok, type ProblemCode, problem } from './problems.ts';

const OLDEST_TESTED = [3, 10] as const;
const ALARM_MS = 2_000;
const MANY_READY = 10_000;
const MANY_RETRIES = 1_000;

export interface BrokerFindings {
  readonly findings: readonly Finding[];
  /** Letters in the dead queue; undefined when it could not be looked at. */
  readonly deadLetters: number | undefined;
}

export async function brokerFindings(examination: Examination): Promise<BrokerFindings> {
  const { connection, url, findings } = await connected(examination);
  if (!connection || url === undefined) return { findings, deadLetters: undefined };
  try {
    findings.push(...(await alarmFindings(examination, url)));
    if (!examination.router) return { findings, deadLetters: undefined };
    const inspection = new BrokerInspection(connection);
    const spec = topologySpec(examination.settings, examination.router.bindings());
    findings.push(...(await topologyFindings(examination, inspection, spec)));
    const queues = await queueFindings(inspection, spec);
    return { findings: [...findings, ...queues.findings], deadLetters: queues.deadLetters };
  } catch (error) {
    // What was found until the broker went away counts all the same.
    return { findings: [...findings, brokerProblem(error)], deadLetters: undefined };
  } finally {
    await connection.stop();
  }
}

/** @throws the error itself when the broker has no part in it */
function brokerProblem(error: unknown): Finding {
  const isOfBroker =
    error instanceof BrokerUnavailableError ||
    error instanceof BrokerAccessRefusedError ||
    error instanceof BrokerTlsError;
  if (!isOfBroker) throw error;
  return problem(codeOf(error), error.message);
}

function codeOf(error: unknown): ProblemCode {
  if (error instanceof EmbeddedStateError) return 'embedded-state';
  if (error instanceof BrokerTlsError) return 'broker-tls';
  return error instanceof BrokerAccessRefusedError ? 'broker-refused' : 'broker-unreachable';
}

/** Every node is tried by itself: a cluster that lacks one works, and should be told of. */
async function connected({ settings, assembly }: Examination) {
  const findings: Finding[] = [];
  let connection: BrokerConnection | undefined;
  let answering: string | undefined;
  const failures: Finding[] = [];
  for (const url of settings.brokerUrls) {
    const node = nodeConnection(assembly, url);
    try {
      await node.start();
    } catch (error) {
      const text = messageOf(error);
      failures.push(problem(codeOf(error), text));
      continue;
    }
    const version = node.serverVersion ?? '';
    const product = assembly.embedded.broker ? 'embedded broker' : 'RabbitMQ';
    findings.push(ok('broker', `${product} ${version} at ${maskWholeUrl(url)}`));
    if (isOlder(version)) findings.push(problem('broker-old', `RabbitMQ ${version} at ${maskWholeUrl(url)}`));
    if (connection) await node.stop();
    else {
      connection = node;
      answering = url;
    }
  }
  const isDown = ({ code }: Finding) => connection !== undefined && code === 'broker-unreachable';
  findings.push(...failures.map((one) => (isDown(one) ? problem('broker-node-down', one.text) : one)));
  return { connection, url: answering, findings };
}

/** Of any node: while one has an alarm, none of the cluster takes publishes. */
async function alarmFindings({ assembly }: Examination, url: string): Promise<Finding[]> {
  if (assembly.embedded.broker) return [];
  const connection = nodeConnection(assembly, url, { closeTimeoutMs: ALARM_MS });
  try {
    await connection.start();
    const alarm = await new BrokerInspection(connection).alarm(ALARM_MS);
    return alarm === undefined ? [] : [problem('broker-alarm', `it takes no publishes: ${alarm}`)];
  } catch (error) {
    return [brokerProblem(error)];
  } finally {
    await connection.stop();
  }
}

function nodeConnection(
  assembly: Examination['assembly'],
  url: string,
  others: Pick<BrokerConnectionOptions, 'closeTimeoutMs'> = {},
): BrokerConnection {
  if (assembly.embedded.broker) return assembly.connection('doctor');
  const { appId, heartbeatMs, connectTimeoutMs } = assembly.settings;
  const { logger } = assembly;
  const name = `${appId} doctor`;
  return new BrokerConnection({ name, url, wait: false, heartbeatMs, connectTimeoutMs, logger, ...others });
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldMajor, oldMinor] = OLDEST_TESTED;
  return major < oldMajor || (major === oldMajor && minor < oldMinor);
}

async function topologyFindings(
  { settings }: Examination,
  inspection: BrokerInspection,
  spec: TopologySpec,
): Promise<Finding[]> {
  const { missing, differences, refused } = await inspection.topology(spec);
  const isMade = settings.declare === 'create';
  const findings = [
    ...missing.map((what) => problem(isMade ? 'topology-not-yet' : 'topology-missing', `${what} does not exist`)),
    // Who may only consume and publish is not told what differs, and need not know.
    ...(isMade ? refused : []).map((text) => problem('broker-rights', text)),
    ...differences.map((difference) => problem('topology-differs', differenceText(difference))),
  ];
  const { queue, exchanges } = spec;
  const text = `queue ${queue.name} with its retry and dead queues, ${exchanges.length} exchanges: as the settings want`;
  return findings.length > 0 ? findings : [ok('topology', text)];
}

const differenceText = ({ what, wanted, found, todo }: TopologyDifference): string =>
  `${what}: wanted ${wanted}, found ${found}: ${todo}`;

async function queueFindings(inspection: BrokerInspection, spec: TopologySpec): Promise<BrokerFindings> {
  const { name } = spec.queue;
  const findings: Finding[] = [];
  const work = await inspection.queue(name);
  if (work) {
    findings.push(
      ok(
        'queues',
        `${name}: ${countText(work.ready, 'message')} ${work.ready === 1 ? 'waits' : 'wait'}, ${countText(work.consumers, 'consumer')}`,
      ),
    );
    if (work.consumers === 0) findings.push(problem('queue-no-consumer', `${name} has no consumer`));
    if (work.ready > MANY_READY) findings.push(problem('queue-backlog', `${work.ready} messages wait in ${name}`));
  }
  let retries = 0;
  for (const delayMs of new Set(spec.retryDelaysMs)) {
    retries += (await inspection.queue(retryQueueName(name, delayMs)))?.ready ?? 0;
  }
  if (retries > MANY_RETRIES) findings.push(problem('retries-waiting', `${retries} messages wait for another run`));
  else if (work) findings.push(ok('queues', `${retries} messages wait in retry queues`));
  const dead = await inspection.queue(deadQueueName(name));
  if (dead && dead.ready > 0) findings.push(problem('dead-letters', `${dead.ready} in ${deadQueueName(name)}`));
  else if (dead) findings.push(ok('queues', 'no dead letters'));
  return { findings, deadLetters: dead?.ready };
}

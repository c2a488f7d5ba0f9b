import { Assembly, type Surroundings } from '../assembly/assembly.ts';
import { assembleDeadLetters } from '../assembly/dead-letters.ts';
import { RETENTION_MARGIN_MS } from '../database/inbox-retention.ts';
import { QueueUnavailableError } from '../errors.ts';
import { group } from '../lifecycle/group.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';
import { type Isolation, measureIsolation } from '../task/isolation.ts';
import { forPeople } from '../util/for-people.ts';
import { codeOf } from '../util/thrown.ts';
import { brokerFindings } from './broker-checks.ts';
import { databaseFindings } from './database-checks.ts';
import type { Examination } from './examination.ts';
import { AREAS, type Finding, ok, problem } from './problems.ts';
import { settingsFindings } from './settings-checks.ts';

/**
 * Looks at everything that a service stands on, and changes nothing. A server that is down is a finding, not an error.
 * Dead letters are read as `dlq ls` reads them, when there are any and the inbox is on.
 * @param surroundings the router with the project's consumers; an empty one: it has none, and no queue
 */
export async function examine(settings: ResolvedSettings, { logger, messageRouter }: Surroundings): Promise<Finding[]> {
  const assembly = new Assembly({ ...settings, wait: false }, { logger, messageRouter });
  const examination: Examination = {
    settings,
    assembly,
    router: messageRouter.routes.length > 0 ? messageRouter : undefined,
  };
  try {
    const [broker, database, isolation] = await Promise.all([
      brokerFindings(examination),
      databaseFindings(examination),
      measureIsolation(),
    ]);
    const lettersMs = broker.deadLetters && settings.inbox.enabled ? await oldestLetterMs(assembly) : undefined;
    const findings = [
      ...settingsFindings(examination),
      ...broker.findings,
      ...database.findings,
      isolationFinding(isolation),
      ...retentionFindings(settings, { outbox: database.oldestMs, 'dead letters': lettersMs }),
    ];
    return findings.toSorted((a, b) => AREAS.indexOf(a.area) - AREAS.indexOf(b.area));
  } finally {
    await assembly.stop();
  }
}

/** No problem of its own: many a machine allows no more, and many a service has no tasks. */
function isolationFinding({ level, why }: Isolation): Finding {
  if (level === 'namespace') return ok('tasks', 'isolation namespace: a worker here ends whatever a task has started');
  return ok('tasks', `isolation group: a worker here does not end what a task moves to another session (${why})`);
}

function retentionFindings({ inbox }: ResolvedSettings, ages: Readonly<Record<string, number | undefined>>): Finding[] {
  if (!inbox.enabled) return [];
  const known = Object.entries(ages).filter((entry): entry is [string, number] => entry[1] !== undefined);
  const short = known.filter(([, ms]) => ms + RETENTION_MARGIN_MS > inbox.retentionMs);
  const remembers = `the inbox remembers for ${forPeople(inbox.retentionMs)}`;
  if (short.length === 0) return known.length === 0 ? [] : [ok('queues', `${remembers}, longer than anything waits`)];
  return short.map(([where, ms]) =>
    problem('retention-short', `${remembers}, and something in the ${where} is ${forPeople(ms)} old`),
  );
}

/** Undefined when there is none, its time is not known, or somebody else reads them. */
async function oldestLetterMs(assembly: Assembly): Promise<number | undefined> {
  const { services, deadLetters } = assembleDeadLetters(assembly);
  const role = group('dead letters', services);
  try {
    await role.start();
    const { groups } = await deadLetters.summary();
    const times = groups.flatMap(({ oldest }) => (oldest === undefined ? [] : [Date.parse(oldest)]));
    return times.length === 0 ? undefined : Date.now() - Math.min(...times);
  } catch (error) {
    if (error instanceof QueueUnavailableError || isDown(error)) return undefined;
    throw error;
  } finally {
    await role.stop();
  }
}

/** The database may be down while the broker has letters: that is another line. */
const isDown = (error: unknown): boolean => /^SVC_COMM_(DATABASE|BROKER)_/.test(String(codeOf(error)));

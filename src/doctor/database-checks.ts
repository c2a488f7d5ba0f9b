import type { DatabaseConnection } from '../database/connection.ts';
import { clockDifference, hearsNotifications, serverFacts, tablesWithoutRights } from '../database/inspection.ts';
import { MIGRATIONS_TABLE, pendingMigrations } from '../database/migrate.ts';
import { DatabaseAccessRefusedError, DatabaseUnavailableError, EmbeddedStateError } from '../errors.ts';
import { readBacklog } from '../outbox/backlog.ts';
import { oldestWaitingMs } from '../outbox/sql/oldest-waiting.ts';
import { readWaiting } from '../task/sql/waiting.ts';
import { countText } from '../util/count-text.ts';
import { forPeople } from '../util/for-people.ts';
import { messageOf } from '../util/thrown.ts';
import type { Examination } from './examination.ts';
import { type Finding, ok, type ProblemCode, problem } from './problems.ts';

const OLDEST_MAJOR = 14;
const CLOCK_MS = 2_000;
const NOTIFY_MS = 2_000;
const LATE_MS = 60_000;
/** Without a right on one of these nothing is read of the outbox, or of tasks. */
const TABLES_OF_OUTBOX = [MIGRATIONS_TABLE, 'svc_comm_outbox', 'svc_comm_future', 'svc_comm_relay'];
const TABLES_OF_TASKS = [MIGRATIONS_TABLE, 'svc_comm_task'];

export interface DatabaseFindings {
  readonly findings: readonly Finding[];
  /** Age of what waits longest in the outbox; undefined when it could not be looked at. */
  readonly oldestMs: number | undefined;
}

export async function databaseFindings(examination: Examination): Promise<DatabaseFindings> {
  const { settings, assembly } = examination;
  if (settings.databaseUrl === undefined) {
    const whose = assembly.hasDatabase
      ? 'no databaseUrl: what the setting transactions opens is not looked at'
      : 'none is set: no outbox, no inbox, no future events';
    return { findings: [ok('database', whose)], oldestMs: undefined };
  }
  let connection: DatabaseConnection;
  try {
    connection = await assembly.connect('doctor');
  } catch (error) {
    const text = messageOf(error);
    return { findings: [problem(codeOf(error), text)], oldestMs: undefined };
  }
  const findings: Finding[] = [];
  try {
    findings.push(...(await serverFindings(examination, connection)));
    const tables = await tableFinding(examination, connection);
    findings.push(tables.finding);
    if (tables.hasTasks) findings.push(...(await taskFindings(examination, connection)));
    if (!tables.hasOutbox) return { findings, oldestMs: undefined };
    findings.push(...(await outboxFindings(examination, connection)));
    return { findings, oldestMs: await oldestWaitingMs(connection, settings.schema) };
  } catch (error) {
    if (!(error instanceof DatabaseUnavailableError)) throw error;
    return { findings: [...findings, problem('database-unreachable', error.message)], oldestMs: undefined };
  } finally {
    await connection.close();
  }
}

async function serverFindings({ settings, assembly }: Examination, db: DatabaseConnection): Promise<Finding[]> {
  const facts = await serverFacts(db);
  const findings = [ok('database', `PostgreSQL ${facts.version}, ${facts.usedConnections} connections in use`)];
  if (facts.major < OLDEST_MAJOR) findings.push(problem('database-old', `PostgreSQL ${facts.version}`));
  if (facts.isReadOnly) {
    const why = facts.isStandby ? 'pg_is_in_recovery() is true' : 'default_transaction_read_only is on';
    findings.push(problem('database-standby', why));
  }
  if (facts.waitingCommits > 0) {
    const text = `${countText(facts.waitingCommits, 'COMMIT')} unanswered for 2 s: no synchronous standby has confirmed`;
    findings.push(problem('database-commits-wait', text));
  }
  if (facts.encoding !== 'UTF8') findings.push(problem('database-encoding', `its encoding is ${facts.encoding}`));
  const left = facts.maxConnections - facts.usedConnections;
  if (assembly.usesOwnPool && settings.pool.max > left) {
    const text = `pool.max is ${settings.pool.max}, and ${left} of ${facts.maxConnections} connections are left`;
    findings.push(problem('database-connections', text));
  }
  const { ms, withinMs } = await clockDifference(db);
  const isOff = Math.abs(ms) > CLOCK_MS + withinMs;
  const text = `the database's clock is ${forPeople(Math.abs(ms))} ${ms < 0 ? 'behind' : 'ahead of'} this machine's`;
  findings.push(isOff ? problem('clock-difference', text) : ok('database', text));
  // A standby refuses LISTEN.
  if (settings.relay.listen && !facts.isStandby) findings.push(await notificationFinding(assembly, db));
  return findings;
}

async function notificationFinding(assembly: Examination['assembly'], db: DatabaseConnection): Promise<Finding> {
  return assembly.withConnection('doctor listen', async (listening) =>
    (await hearsNotifications(listening, db, NOTIFY_MS))
      ? ok('database', 'notifications arrive')
      : problem('no-notifications', `a notification did not arrive within ${NOTIFY_MS / 1000} s`),
  );
}

interface TableFinding {
  readonly finding: Finding;
  /** The outbox can be looked at. */
  readonly hasOutbox: boolean;
  /** Tasks can. */
  readonly hasTasks: boolean;
}

async function tableFinding({ settings }: Examination, db: DatabaseConnection): Promise<TableFinding> {
  const { schema } = settings;
  const refused = await tablesWithoutRights(db, schema);
  // Then it cannot be asked which have run.
  const pending = refused.includes(MIGRATIONS_TABLE) ? [] : await pendingMigrations(db, { schema });
  if (pending.length > 0) {
    const text = `not run in schema ${schema}: ${pending.join(', ')}`;
    return { finding: problem('migrations-missing', text), hasOutbox: false, hasTasks: false };
  }
  if (refused.length > 0) {
    const text = `not all rights on ${refused.join(', ')} of schema ${schema}`;
    const hasAll = (tables: readonly string[]) => !tables.some((table) => refused.includes(table));
    const finding = problem('table-rights', text);
    return { finding, hasOutbox: hasAll(TABLES_OF_OUTBOX), hasTasks: hasAll(TABLES_OF_TASKS) };
  }
  return { finding: ok('tables', `up to date in schema ${schema}`), hasOutbox: true, hasTasks: true };
}

async function taskFindings({ settings }: Examination, db: DatabaseConnection): Promise<Finding[]> {
  const waiting = await readWaiting(db, settings.schema, LATE_MS);
  return waiting.map(({ name, count, oldest, oldestMs }) => {
    const text = `${name}: ${count} due and not begun, the oldest since ${oldest.toISOString()} (${forPeople(oldestMs)})`;
    return problem('tasks-waiting', text);
  });
}

async function outboxFindings({ settings }: Examination, db: DatabaseConnection): Promise<Finding[]> {
  const { rows, oldestMs, failing, lastError, future, futureDue, relays } = await readBacklog(db, settings.schema);
  const waiting = rows + futureDue;
  const text = `${waiting} events wait, ${future} for a later time; ${relays} relays live`;
  const findings: Finding[] = [];
  if (waiting > 0 && relays === 0) {
    findings.push(
      problem('no-publisher', `${waiting} events wait, the oldest for ${forPeople(oldestMs)}, and no relay lives`),
    );
  } else findings.push(ok('outbox', text));
  if (relays > 0 && oldestMs > LATE_MS) {
    findings.push(problem('outbox-late', `the oldest event waits for ${forPeople(oldestMs)}`));
  }
  if (failing > 0) findings.push(problem('outbox-refused', `${failing} events were refused, the last: ${lastError}`));
  return findings;
}

function codeOf(error: unknown): ProblemCode {
  if (error instanceof EmbeddedStateError) return 'embedded-state';
  if (error instanceof DatabaseUnavailableError && error.outage === 'full') return 'database-full';
  return error instanceof DatabaseAccessRefusedError ? 'database-refused' : 'database-unreachable';
}

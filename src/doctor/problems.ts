import { maskUrl } from '../util/mask.ts';

/** `wrong`: something does not work, or loses or doubles. `warning`: it works, and somebody should look. */
export type ProblemStatus = 'warning' | 'wrong';

export const AREAS = [
  'settings',
  'consumers',
  'broker',
  'topology',
  'queues',
  'database',
  'tables',
  'outbox',
  'tasks',
] as const;
export type Area = (typeof AREAS)[number];

export interface Problem {
  readonly area: Area;
  readonly status: ProblemStatus;
  /** What it means, for docs/troubleshooting.md. */
  readonly meaning: string;
  /** What to do, as the command says it. */
  readonly todo: string;
}

/** Everything that `svc-comm doctor` can find, by its code. docs/troubleshooting.md is made from it. */
export const PROBLEMS = {
  'settings-wrong': {
    area: 'settings',
    status: 'wrong',
    meaning: 'A setting has a value that it does not take, or settings contradict each other. No command runs with it.',
    todo: 'mend the setting where the line says it comes from; docs/settings.md lists what each takes',
  },
  'pool-small': {
    area: 'settings',
    status: 'warning',
    meaning: '`pool.max` is below `concurrency` + 1: handlers wait for each other’s database connections.',
    todo: 'raise pool.max to concurrency + 5, or leave it out',
  },
  'deadline-grace': {
    area: 'settings',
    status: 'warning',
    meaning:
      'A handler may run longer than RabbitMQ lets a delivery go unacked (30 min unless the broker says otherwise).',
    todo: 'lower handlerTimeout below 30 min, or raise consumer_timeout of the broker',
  },
  'plain-text': {
    area: 'settings',
    status: 'warning',
    meaning:
      'Broker or database is another machine, and what goes there, passwords and messages, is plain text or encrypted for a server that nobody verifies (`amqp://`; no `sslmode`, `sslmode=no-verify`, libpq’s `require`).',
    todo: 'amqps:// in brokerUrl, sslmode=verify-full in databaseUrl (docs/settings.md); leave it where the network between is your own and closed',
  },
  'consumers-broken': {
    area: 'consumers',
    status: 'wrong',
    meaning: 'The files of the setting `consumers` cannot be loaded, or clash: `runconsumer` does not start.',
    todo: 'mend what the line names; `svc-comm runconsumer --log-level debug` prints the stack',
  },
  'consumers-unbound': {
    area: 'consumers',
    status: 'warning',
    meaning:
      'The setting `binds` brings a consumer nothing: no binding is for its exchange and pattern. Unless somebody binds the queue by hand, it gets no messages, and nobody is told.',
    todo: 'add its exchange and pattern to the setting binds, or leave the setting out: the queue is then bound for every consumer',
  },
  'tasks-broken': {
    area: 'tasks',
    status: 'wrong',
    meaning: 'The files of tasks, steps or processes cannot be loaded, or clash: `serve` and `runworker` do not start.',
    todo: 'mend what the line names',
  },
  'variable-missing': {
    area: 'tasks',
    status: 'warning',
    meaning: 'A task or a step of a process names an environment variable that is not set here.',
    todo: 'set it where `serve` and `runworker` run, or take it out of `env`',
  },
  'tasks-waiting': {
    area: 'tasks',
    status: 'warning',
    meaning:
      'Tasks have been due for more than a minute and have not begun: no worker runs, none of those that run knows the task (it was renamed or removed, or they are older), they have too much to do, or can start no processes, or all places of the task are taken.',
    todo: 'start `svc-comm runworker` of a version that has the task, and look at the log of those that run; start more, or raise maxConcurrency; what nobody is to run any more ends with `svc-comm task cancel --all NAME`',
  },
  'broker-unreachable': {
    area: 'broker',
    status: 'wrong',
    meaning: 'No connection to the RabbitMQ node within `connectTimeout`.',
    todo: 'check brokerUrl, that the node runs, and that its port is open from here',
  },
  'broker-node-down': {
    area: 'broker',
    status: 'warning',
    meaning: 'A node of `brokerUrl` cannot be reached while another can.',
    todo: 'start the node, or take it out of brokerUrl',
  },
  'broker-alarm': {
    area: 'broker',
    status: 'wrong',
    meaning:
      'RabbitMQ has an alarm: its memory or its disk is short, and no node of the cluster takes publishes. Events wait in the outbox; what is sent at once, calls and their answers fail at their deadline.',
    todo: 'see `rabbitmqctl status` for the alarm, then make room: consume what waits, free the disk, or raise vm_memory_high_watermark or lower disk_free_limit',
  },
  'broker-refused': {
    area: 'broker',
    status: 'wrong',
    meaning: 'RabbitMQ refuses the user, its password or the virtual host.',
    todo: 'check user, password and virtual host of brokerUrl; `rabbitmqctl list_permissions -p VHOST` shows who may',
  },
  'embedded-state': {
    area: 'settings',
    status: 'wrong',
    meaning: 'The embedded broker or database cannot use what it keeps in `.svc-comm`.',
    todo: 'as the text says: rights of the folder, room on the disk; or stop every process of the project and move it away',
  },
  'broker-tls': {
    area: 'broker',
    status: 'wrong',
    meaning: "Broker and client do not trust each other's certificate, or one of them speaks no TLS.",
    todo: 'as the text says: `cacertfile`, `certfile`, `keyfile` and `server_name_indication` of brokerUrl (docs/settings.md)',
  },
  'broker-old': {
    area: 'broker',
    status: 'warning',
    meaning: 'The broker is older than RabbitMQ 3.10, the oldest that is tested.',
    todo: 'upgrade the broker: at-least-once dead-lettering of quorum queues came with 3.10',
  },
  'broker-rights': {
    area: 'topology',
    status: 'wrong',
    meaning: "With `declare: 'create'` the user must be permitted to configure its queues and exchanges, and is not.",
    todo: "grant configure on them (`rabbitmqctl set_permissions`), or have them made by others and set declare to 'none'",
  },
  'topology-differs': {
    area: 'topology',
    status: 'wrong',
    meaning: 'A queue or exchange exists with other arguments or of another type than the settings want.',
    todo: 'see the end of the line: set it as it is, or delete it (empty) and let it be made again (docs/operations.md, Changing the queue)',
  },
  'topology-missing': {
    area: 'topology',
    status: 'wrong',
    meaning: 'A queue or exchange is missing, and `declare` forbids to make it.',
    todo: "declare it, or set declare to 'create'",
  },
  'topology-not-yet': {
    area: 'topology',
    status: 'warning',
    meaning: 'A queue or exchange does not exist yet. `runconsumer` makes it; until then events for it reach no queue.',
    todo: 'start `svc-comm runconsumer` once',
  },
  'queue-no-consumer': {
    area: 'queues',
    status: 'warning',
    meaning: 'Nobody consumes from the work queue.',
    todo: 'start `svc-comm runconsumer`; if it runs, look at its log and at its brokerUrl and queue',
  },
  'queue-backlog': {
    area: 'queues',
    status: 'warning',
    meaning: 'More than 10,000 messages wait in the work queue.',
    todo: 'start more consumers, raise concurrency, or look for a handler that has become slow',
  },
  'retries-waiting': {
    area: 'queues',
    status: 'warning',
    meaning: 'More than 1,000 messages wait in the retry queues: a handler fails often.',
    todo: 'look at the consumer’s log for what fails',
  },
  'dead-letters': {
    area: 'queues',
    status: 'warning',
    meaning: 'Messages were given up and wait for somebody.',
    todo: 'see why with `svc-comm dlq ls` and `dlq show`, mend it, then `svc-comm dlq redrive`',
  },
  'retention-short': {
    area: 'queues',
    status: 'wrong',
    meaning:
      'Something waits in the outbox or in the dead letters for nearly as long as the inbox remembers, or longer: when it is handled after that, a second copy of it has its effect again.',
    todo: 'raise inbox.retention above its age and a day, then clear what waits',
  },
  'database-unreachable': {
    area: 'database',
    status: 'wrong',
    meaning: 'No connection to PostgreSQL within `connectTimeout`.',
    todo: 'check databaseUrl, that PostgreSQL runs, and that its port is open from here',
  },
  'database-full': {
    area: 'database',
    status: 'wrong',
    meaning:
      'PostgreSQL has no connection left for this user: max_connections, or the limit of the role or the database.',
    todo: 'lower pool.max, run fewer processes, put a pooler between, or raise the limit',
  },
  'database-refused': {
    area: 'database',
    status: 'wrong',
    meaning: 'PostgreSQL refuses the user, its password or the database.',
    todo: 'check user, password and database of databaseUrl, and pg_hba.conf',
  },
  'database-old': {
    area: 'database',
    status: 'wrong',
    meaning:
      'The server is older than PostgreSQL 14: it has not all settings and functions that are used, and refuses connections of ours.',
    todo: 'upgrade PostgreSQL to 14 or later',
  },
  'database-standby': {
    area: 'database',
    status: 'wrong',
    meaning: 'The server is a standby, or its sessions are read-only: it takes no writes.',
    todo: 'let databaseUrl name the primary, by an address that follows it (DNS, a virtual address, a pooler), or turn default_transaction_read_only off',
  },
  'database-commits-wait': {
    area: 'database',
    status: 'wrong',
    meaning:
      'COMMITs wait for a synchronous standby (`synchronous_standby_names`) that is not there or is behind: whoever writes waits with them, and so does this service.',
    todo: 'start the standby, or take it out of synchronous_standby_names and reload: what then fails over loses what was answered',
  },
  'database-encoding': {
    area: 'database',
    status: 'warning',
    meaning:
      'The database is not UTF8: an event, or what else is kept, with a character that its encoding does not have is refused (22P05); SQL_ASCII keeps bytes without looking.',
    todo: "move to a database of UTF8 (`CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`, pg_dump, pg_restore)",
  },
  'database-connections': {
    area: 'database',
    status: 'warning',
    meaning: 'One process may open more connections than the server has left.',
    todo: 'lower pool.max, raise max_connections, or put a pooler between',
  },
  'clock-difference': {
    area: 'database',
    status: 'warning',
    meaning:
      'This machine’s clock and the database’s differ by more than 2 s: times in logs and deadlines of other services are off.',
    todo: 'let both follow NTP (chronyd, systemd-timesyncd)',
  },
  'no-notifications': {
    area: 'database',
    status: 'warning',
    meaning:
      'LISTEN hears nothing, as behind PgBouncer in transaction mode: the relay polls, and events are up to `relay.poll` late.',
    todo: 'give the relay a direct connection, or set relay.listen to false',
  },
  'migrations-missing': {
    area: 'tables',
    status: 'wrong',
    meaning: 'Tables are missing or of an older version.',
    todo: 'run `svc-comm migrate`',
  },
  'table-rights': {
    area: 'tables',
    status: 'wrong',
    meaning: 'The database user may not read or write one of our tables, or row level security has no policy for it.',
    todo: 'GRANT SELECT, INSERT, UPDATE, DELETE on the tables, and USAGE on the schema, to the user of databaseUrl, and a policy',
  },
  'no-publisher': {
    area: 'outbox',
    status: 'wrong',
    meaning: 'Events wait in the outbox, or future ones are due, and no relay lives.',
    todo: 'start `svc-comm runpublisher`',
  },
  'outbox-late': {
    area: 'outbox',
    status: 'warning',
    meaning: 'The oldest event has waited for more than a minute, in the outbox or since it was due.',
    todo: 'look at the log of `svc-comm runpublisher`: the broker, or a transaction that holds the table',
  },
  'outbox-refused': {
    area: 'outbox',
    status: 'warning',
    meaning: 'The broker has refused events; they back off, each holding back its key.',
    todo: 'the line has the broker’s words, svc_comm_outbox.last_error those of each row: make the exchange, or grant write',
  },
} as const satisfies Readonly<Record<string, Problem>>;

export type ProblemCode = keyof typeof PROBLEMS;

export interface Finding {
  readonly area: Area;
  readonly status: 'ok' | ProblemStatus;
  /** What was found, one line. */
  readonly text: string;
  /** Of a problem. */
  readonly code?: ProblemCode;
  readonly todo?: string;
}

export const ok = (area: Area, text: string): Finding => ({ area, status: 'ok', text });

export function problem(code: ProblemCode, text: string): Finding {
  const { area, status, todo } = PROBLEMS[code];
  // It may be what a file of the project threw.
  return { area, status, text: maskUrl(text), code, todo };
}

import { randomBytes } from 'node:crypto';

/** Broker and database of the suites that do no harm to a server. The finder (global-setup) sets the variables. */
export const testBrokerUrl = (): string => process.env.SVC_COMM_TEST_BROKER_URL ?? 'amqp://guest:guest@127.0.0.1:5672';
export const testDatabaseUrl = (): string =>
  process.env.SVC_COMM_TEST_DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres';

/** False where no server could be had: then what can run on embedded ones runs, and nothing else. */
export const hasServers = process.env.SVC_COMM_TEST_WITHOUT_SERVERS !== '1';

/** A name that no other test file or run has: prefix of queues and exchanges, or a schema's name. */
export const uniqueName = (prefix: string): string => `${prefix}_${randomBytes(5).toString('hex')}`;

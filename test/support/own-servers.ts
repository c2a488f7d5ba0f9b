/** Servers for tests that restart, kill, or change permissions and memory marks: never the machine's own. */
export { type OwnPostgres, type OwnPostgresOptions, startOwnPostgres } from './servers/own-postgres.ts';
export { type OwnRabbit, type OwnRabbitOptions, startOwnRabbit } from './servers/own-rabbit.ts';

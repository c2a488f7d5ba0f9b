import { defineConfig } from 'svc-comm';

// The service's name is that of its queue and of the exchange of its events.
const name = process.env.SVC_COMM_APP_ID ?? 'workflow';

export default defineConfig({
  appId: name,
  // Nothing to install: a broker and a database inside this process. Real servers by the environment, see compose.yaml.
  brokerUrl: process.env.SVC_COMM_BROKER_URL ?? 'embedded:',
  databaseUrl: process.env.SVC_COMM_DATABASE_URL ?? 'embedded:',
  schema: process.env.SVC_COMM_SCHEMA ?? 'public',
  queue: name,
  binds: [[name, 'inserted']],
  // A workflow whose message reached no queue would never be consumed.
  outbox: { unroutable: 'keep' },
  // A table has a key for each cell: as many as a body of 1 MiB can hold (`"":0,` is the shortest).
  limits: { keys: 210_000 },
});

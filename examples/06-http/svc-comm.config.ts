import { defineConfig } from 'svc-comm';

// The servers inside the processes, shared by all commands that run in this folder. In production: URLs.
export default defineConfig({
  appId: 'example-http',
  tasks: ['examples/06-http/src/tasks.ts'],
  brokerUrl: 'embedded:',
  databaseUrl: 'embedded:',
  logLevel: 'warn',
  worker: { concurrency: 2, grace: '1s' },
});

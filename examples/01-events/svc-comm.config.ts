import { defineConfig } from 'svc-comm';

// The servers inside the processes, shared by all commands that run in this folder. In production: URLs.
export default defineConfig({
  appId: 'example-events',
  consumers: ['examples/01-events/src/consumers.ts'],
  brokerUrl: 'embedded:',
  databaseUrl: 'embedded:',
  retry: { attempts: 3, delays: ['300ms'] },
  logLevel: 'warn',
});

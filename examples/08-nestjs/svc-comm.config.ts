import { defineConfig } from 'svc-comm';

// The servers inside the processes, shared by all commands that run in this folder. In production: URLs.
export default defineConfig({
  appId: 'example-nestjs',
  brokerUrl: 'embedded:',
  databaseUrl: 'embedded:',
  logLevel: 'warn',
});

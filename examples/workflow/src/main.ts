import { createService } from 'svc-comm';
import config from '../svc-comm.config.ts';
import { httpServer } from './http.ts';
import { Workflows } from './workflows.ts';

const host = process.env.HOST ?? '127.0.0.1';
const port = Number(process.env.PORT ?? 8000);

const service = createService(config);
const workflows = new Workflows(service);
// Moves committed messages to the queue. Several processes may run it: they take over from each other.
const relay = service.relay();
const app = httpServer(workflows);

let isStopping = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (isStopping) process.exit(1);
    isStopping = true;
    void stop();
  });
}

await workflows.prepare();
await relay.start();
await app.listen({ host, port });

/** No new requests, those under way to their end, then the relay and the connections. */
async function stop(): Promise<void> {
  await app.close();
  await service.close();
}

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The other side of rest.bench.ts, in a process of its own. It goes when its parent does. */
const body = JSON.stringify({ data: 'x'.repeat(1000) });
const token = JSON.stringify({ access_token: 'bench' });
const server = createServer((request, response) => {
  request.resume();
  request.once('end', () => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(request.url === '/login' ? token : body);
  });
});
// A busy machine can let a connection wait for longer than the 5 s after which it would be closed.
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.once('disconnect', () => process.exit(0));

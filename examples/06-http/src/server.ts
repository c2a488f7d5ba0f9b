import { asyncResource, docs, functionServer, HttpServer, health } from 'svc-comm/http';
import { double, report } from './tasks.ts';

const server = new HttpServer({
  port: Number(process.env.PORT ?? 8888),
  async register(app) {
    // Every task by its URL: POST /functions/addition
    await app.register(functionServer, { prefix: '/functions' });
    // Resources that answer 202; `report` leads to its result by 303 when there is one.
    const doubles = asyncResource('double', {
      getList: (request) => double.startFrom({ number: request.query.foo }),
    });
    const reports = asyncResource('report', { postList: ({ body }) => report.startFrom(body) }, { seeOther: true });
    await app.register(doubles, { prefix: '/api/v1' });
    await app.register(reports, { prefix: '/api/v1' });
    await app.register(health);
    await app.register(docs, { title: 'example', version: '1.0.0' });
  },
});
await server.start();
console.log(`listening on ${server.url}`);

process.once('SIGTERM', async () => {
  await server.stop();
  await (await import('svc-comm')).close();
  process.exit(0);
});

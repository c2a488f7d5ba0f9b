import { createServer, type Server } from 'node:http';

/** The service that the example talks to: subjects behind a login, as a Django REST service would have them. */
export function subjectsApi(): Server {
  const subjects = new Map([[1, { id: 1, full_name: 'Mathematics', sort_order: 1 }]]);
  let tokens = 0;
  let failures = 1;

  return createServer((request, response) => {
    const answer = (status: number, body?: unknown): void => {
      response
        .writeHead(status, { 'content-type': 'application/json' })
        .end(body === undefined ? '' : JSON.stringify(body));
    };
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://subjects');
      const id = Number(url.pathname.split('/').at(-1));
      if (url.pathname === '/api/v1/login') return answer(200, { access_token: `token-${++tokens}` });
      // Each token is good until the second one is out: the client has to log in anew on the way.
      if (request.headers.authorization !== `Bearer token-${tokens}`) return answer(401, { detail: 'log in' });
      if (url.pathname === '/api/v1/unsteady') return failures-- > 0 ? answer(503, {}) : answer(200, { steady: true });
      if (url.pathname === '/api/v1/logout') {
        tokens += 1;
        return answer(204);
      }
      if (request.method === 'POST') {
        const subject = { id: subjects.size + 1, ...JSON.parse(Buffer.concat(chunks).toString()) };
        subjects.set(subject.id, subject);
        return answer(201, subject);
      }
      if (url.pathname === '/api/v1/subjects') return answer(200, [...subjects.values()]);
      const subject = subjects.get(id);
      return subject ? answer(200, subject) : answer(404, { detail: `no subject ${id}` });
    });
  });
}

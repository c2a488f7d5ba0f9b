const base = process.env.BASE ?? 'http://127.0.0.1:8888';

/** Asks, and prints status and body; ids and addresses with them are another each time. */
async function ask(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
  const response = await fetch(base + path, {
    method,
    redirect: 'manual',
    headers: { ...(body ? { 'content-type': 'application/json' } : {}), ...headers },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  const shown = `${method} ${path} → ${response.status} ${text}`.trim();
  console.log(shown.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID'));
  return { text, location: response.headers.get('location') ?? '' };
}

console.log('-- a function, and its result');
await ask('POST', '/functions/addition/keep-connection', { x: 3, y: 6 });
await ask('POST', '/functions/addition', { x: 3 });
const { task_id } = JSON.parse((await ask('POST', '/functions/addition', { x: '20', y: 22 })).text);
while ((await (await fetch(`${base}/functions/task/done/${task_id}`)).text()) !== 'true');
await ask('GET', `/functions/task/info/${task_id}`);

console.log('-- a resource: 202, its state, its result');
const doubled = await ask('GET', '/api/v1/double/?foo=1');
const state = await ask('GET', doubled.location, undefined, { prefer: 'wait=30' });
await ask('GET', JSON.parse(state.text).result_uri);

console.log('-- one that tells how far it is, and leads to its result');
const started = await ask('POST', '/api/v1/report/', { lines: 3 });
const events = await fetch(base + started.location, { headers: { accept: 'text/event-stream' } });
const told = await events.text();
console.log(told.includes('event: progress'), told.includes('"state":"SUCCESS"'));
const seen = await ask('GET', started.location);
await ask('GET', `${seen.location}?limit=2`);

console.log('-- cancelled, and gone');
const long = await ask('POST', '/api/v1/report/', { lines: 1000 });
await fetch(base + long.location, { method: 'DELETE' });
while ((await fetch(base + long.location, { method: 'DELETE' })).status !== 410);
await ask('GET', long.location);

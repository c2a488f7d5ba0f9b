const base = process.env.BASE ?? 'http://127.0.0.1:8888';

async function ask(method, path, body) {
  const headers = { 'content-type': 'application/json' };
  const options = { method, ...(body === undefined ? {} : { headers, body: JSON.stringify(body) }) };
  const response = await fetch(base + path, options);
  return { status: response.status, body: await response.json() };
}

const list = await ask('GET', '/');
console.log('there is', list.body.map(({ id, name }) => `${id} (${name})`).join(', '));

const refused = await ask('POST', '/hello-world', { name: 'ADA', times: 'often' });
console.log(refused.status, refused.body.errors.map(({ name, why }) => `${name}: ${why}`).join('; '));

const created = await ask('POST', '/hello-world', { name: 'Ada', times: 2 });
console.log(created.status, created.body.state, JSON.stringify(created.body.tasks[0].result));

let instance = created.body;
while (instance.state === 'Running') {
  await new Promise((resolve) => setTimeout(resolve, 200));
  instance = (await ask('GET', `/hello-world/${instance.id}`)).body;
}
console.log(instance.state);
for (const { name, status, result } of instance.tasks.slice(1)) console.log(' ', name, status, JSON.stringify(result));

import { fastify } from 'fastify';
import { compiled } from './compiled.ts';

/** The servers of http.bench.ts, in a process of their own, and what they do without HTTP. It goes with its parent. */
export interface Ready {
  readonly ours: string;
  readonly bare: string;
}

/** What it is asked to do; 0 submits: tell its CPU. */
export interface Work {
  readonly submits: number;
  readonly atOnce: number;
}

export interface Done {
  readonly ms: number;
  /** Of this process since it began. */
  readonly cpuMs: number;
}

const [databaseUrl = '', schema = ''] = process.argv.slice(2);
const { createService } = await compiled('index');
const { HttpServer, asyncResource, functionServer } = await compiled('http-door');
const { arg, task, TaskRegistry } = await compiled('task-door');

const double = task({ name: 'double', args: { number: arg.integer('What is doubled') } }, ({ number }) => number * 2);
const taskRegistry = new TaskRegistry();
taskRegistry.add(double);
const service = createService({ appId: 'bench', databaseUrl, schema, logLevel: 'error' }, { taskRegistry });
const tasks = await service.tasks();

const ours = new HttpServer({
  port: 0,
  guard: { rateLimit: 1_000_000 },
  async register(app) {
    await app.register(functionServer, { tasks });
    await app.register(asyncResource('double', { postList: ({ body }) => double.startFrom(body) }), {
      prefix: '/api',
      tasks,
    });
  },
});
await ours.start();

const bare = fastify();
const definition = {
  function_name: 'double',
  arg_definitions: [{ name: 'number', type: 'INTEGER', is_required: true, description: 'What is doubled' }],
  max_concurrency: 0,
  description: '',
  timeout: 86_400,
};
bare.get('/function/definition/:name', async () => definition);
const bareUrl = await bare.listen({ port: 0, host: '127.0.0.1' });

process.on('message', async ({ submits, atOnce }: Work) => {
  let left = submits;
  const client = async () => {
    while (left-- > 0) await tasks.submit('double', { number: left });
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: atOnce }, client));
  const { user, system } = process.cpuUsage();
  process.send?.({ ms: performance.now() - began, cpuMs: (user + system) / 1000 } satisfies Done);
});
process.once('disconnect', () => process.exit(0));
process.send?.({ ours: ours.url, bare: bareUrl });

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { bin, CliProject, type Running } from '../support/cli-project.ts';
import { eventually } from '../support/eventually.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

const CONSUMERS = `
import { eventConsumer, messageRouter } from 'svc-comm';
messageRouter.consumer('EXCHANGE', 'placed')(eventConsumer(async () => console.log('an order came')));
`;

/** What a project writes to set up OpenTelemetry; spans go to a file, one JSON a line, and only when they are asked for. */
const OPEN_TELEMETRY = `
import { appendFileSync } from 'node:fs';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const exporter = {
  export(spans, done) {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      const parent = span.parentSpanContext?.spanId;
      appendFileSync('spans.jsonl', JSON.stringify({ name: span.name, traceId, spanId, parent, pid: process.pid }) + '\\n');
    }
    done({ code: 0 });
  },
  async shutdown() {},
};
const processor = new BatchSpanProcessor(exporter, { scheduledDelayMillis: 3_600_000 });
const provider = new NodeTracerProvider({ spanProcessors: [processor] });
provider.register();
process.once('beforeExit', () => provider.shutdown());
`;

const TASKS = `
import '../telemetry.mjs';
import { trace } from '@opentelemetry/api';
import { task } from 'svc-comm/task';

export const counted = task({ name: 'counted' }, () =>
  trace.getTracer('project').startActiveSpan('count', (span) => {
    span.end();
    return 1;
  }),
);
`;

const PLACE_ORDER = `
import { trace } from '@opentelemetry/api';
import { close, publishAggregateEvent, transaction } from 'svc-comm';

await trace.getTracer('project').startActiveSpan('request', async (span) => {
  await transaction(() => publishAggregateEvent({ aggregate: 'EXCHANGE', eventType: 'placed', payload: { id: 1 } }));
  span.end();
});
await close();
`;

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parent?: string;
  readonly pid: number;
}

const project = new CliProject({
  'src/consumers.js': CONSUMERS,
  'src/tasks.js': TASKS,
  'telemetry.mjs': OPEN_TELEMETRY,
  'place-order.mjs': PLACE_ORDER,
});
const WATCHED = { NODE_OPTIONS: '--import ./telemetry.mjs', SVC_COMM_MONITOR_PORT: '0' };
let running: Readonly<Record<'runconsumer' | 'runpublisher' | 'runworker', Running>>;

const urlOf = async (process: Running): Promise<string> => {
  const line = await process.line('metrics and health can be asked for');
  return /http:\/\/[\d.]+:\d+/.exec(line)?.[0] ?? '';
};

beforeAll(async () => {
  project.link('@opentelemetry');
  expect((await project.cli('migrate')).code).toBe(0);
  running = {
    runconsumer: project.start([bin, 'runconsumer'], WATCHED),
    runpublisher: project.start([bin, 'runpublisher'], WATCHED),
    runworker: project.start([bin, 'runworker'], WATCHED),
  };
});
afterAll(async () => {
  await project.remove();
});

describe('the built package, watched from outside', () => {
  it.each(['runconsumer', 'runpublisher', 'runworker'] as const)(
    '%s becomes ready, tells its metrics, and stops',
    async (command) => {
      const url = await urlOf(running[command]);
      await eventually('it is ready', async () => (await fetch(`${url}/health/ready`)).status === 200);
      const text = await (await fetch(`${url}/metrics`)).text();
      expect(text).toMatch(/^svc_comm_ready\{svc_comm_role="[\w .-]+"\} 1$/m);
      expect(text).toMatch(/^process_cpu_user_seconds_total \d/m);
    },
  );

  it('serve is not ready while it waits for its database, and is when it serves', async () => {
    const proxy = await TcpProxy.to(testDatabaseUrl());
    onTestFinished(() => proxy.close());
    proxy.refuse();
    const server = project.start([bin, 'serve', '--port', '0'], {
      SVC_COMM_MONITOR_PORT: '0',
      SVC_COMM_DATABASE_URL: proxy.url(testDatabaseUrl()),
    });
    const url = await urlOf(server);
    await eventually('it asks for the database', async () => proxy.accepted > 0);
    const waiting = await fetch(`${url}/health/ready`);
    expect([waiting.status, await waiting.json()]).toEqual([503, { status: 'unavailable', waiting: ['HTTP server'] }]);
    proxy.heal();
    await server.line('listening on');
    await eventually('it is ready', async () => (await fetch(`${url}/health/ready`)).status === 200);
    expect(await server.stop()).toBe(0);
  });

  it('ends a command whose port is taken with the setting that names it, before it takes any message', async () => {
    const { port } = new URL(await urlOf(running.runconsumer));
    const { code, stderr } = await project.run([bin, 'runconsumer'], { SVC_COMM_MONITOR_PORT: port });
    expect(code).toBe(1);
    expect(stderr).toContain('SVC_COMM_LISTEN');
    expect(stderr).toContain('monitor.port');
    expect(stderr).not.toContain('consuming from queue');
  });

  it('has one trace from a script over the publisher to the consumer, sent before each of the processes ends', async () => {
    const from = running.runconsumer.lines.length;
    const script = await project.run(['--import', './telemetry.mjs', 'place-order.mjs']);
    expect(script).toMatchObject({ code: 0 });
    await running.runconsumer.line('an order came', from);
    const task = await project.run([bin, 'task', 'run', 'counted'], WATCHED);
    expect(task).toMatchObject({ code: 0 });
    expect(await Promise.all(Object.values(running).map((one) => one.stop()))).toEqual([0, 0, 0]);
    const spans = readFileSync(join(project.root, 'spans.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Span);
    const of = (name: string) => spans.find((span) => span.name === name);
    const [request, create, send, handled] = [
      of('request'),
      of(`create ${project.exchange}`),
      of(`send ${project.exchange}`),
      of(`process ${project.exchange}`),
    ];
    expect(new Set([request, create, send, handled].map((span) => span?.traceId)).size).toBe(1);
    expect([create?.parent, send?.parent, handled?.parent]).toEqual([request?.spanId, create?.spanId, create?.spanId]);
    expect([request?.pid === create?.pid, send?.pid, handled?.pid]).toEqual([
      true,
      running.runpublisher.pid,
      running.runconsumer.pid,
    ]);
    const [run, counted] = [of('run counted'), of('count')];
    expect(run?.pid).toBe(running.runworker.pid);
    expect([counted?.traceId, counted?.parent]).toEqual([run?.traceId, run?.spanId]);
  });
});

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { bin, CliProject, type Running } from './cli-project.ts';
import { request } from './fastify-kit.ts';
import { testBrokerUrl } from './servers.ts';

/** On what a seed's lines are replayed. */
export const GROUNDS = ['real servers', 'the embedded default'] as const;
export type Ground = (typeof GROUNDS)[number];

/** A project with processes of the built package, on RabbitMQ and PostgreSQL or on the embedded ones. */
export class SeedProject {
  readonly ground: Ground;
  readonly #project: CliProject;
  readonly #running: Running[] = [];
  readonly #variables: NodeJS.ProcessEnv;

  /** @param variables of the processes' environment */
  constructor(ground: Ground, files: Readonly<Record<string, string>>, variables: NodeJS.ProcessEnv = {}) {
    this.ground = ground;
    this.#variables = variables;
    this.#project = new CliProject(files);
  }

  get #environment(): NodeJS.ProcessEnv {
    const embedded = { SVC_COMM_BROKER_URL: 'embedded:', SVC_COMM_DATABASE_URL: 'embedded:' };
    return {
      ...this.#variables,
      SVC_COMM_WORKER_CONCURRENCY: '3',
      SVC_COMM_WORKER_GRACE: '1s',
      ...(this.ground === 'the embedded default' ? embedded : {}),
    };
  }

  async migrate(): Promise<void> {
    const { code, stderr } = await this.#project.run([bin, 'migrate'], this.#environment);
    if (code !== 0) throw new Error(stderr);
  }

  /** @param ready what it says when it is. @returns that line */
  async start(args: readonly string[], ready: string): Promise<{ readonly process: Running; readonly line: string }> {
    const process = this.#project.start(args, this.#environment);
    this.#running.push(process);
    return { process, line: await process.line(ready) };
  }

  startCli(args: readonly string[], ready: string): Promise<{ readonly process: Running; readonly line: string }> {
    return this.start([bin, ...args], ready);
  }

  /** Those that use the embedded servers end before the one that has them. */
  async remove(): Promise<void> {
    for (const process of this.#running.toReversed()) await process.stop();
    rmSync(join(this.#project.root, '.svc-comm'), { recursive: true, force: true });
    const broker = await connect(testBrokerUrl());
    await (await broker.createChannel()).deleteQueue(`${this.#project.queue}.tasks`);
    await broker.close();
    await this.#project.remove();
  }
}

/**
 * Sends what a line of curl says, with the headers that curl sends: no type without `-d`, a form's type with it unless
 * `-H` says another.
 * @param base instead of `localhost:8888`
 */
export function curl(line: string, base: string): ReturnType<typeof request> {
  const words = [...line.replace(/^\$?\s*curl\s+/, '').matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    (m) => m[1] ?? m[2] ?? m[3] ?? '',
  );
  let [url, method, body] = ['', undefined as string | undefined, undefined as string | undefined];
  const headers: Record<string, string> = { accept: '*/*', 'user-agent': 'curl/7.88.1' };
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === '-X') method = words.shift();
    else if (word === '-d') body = words.shift();
    else if (word === '-H') {
      const [name = '', value = ''] = (words.shift() ?? '').split(/:\s*(.*)/s);
      headers[name.toLowerCase()] = value;
    } else url = word.replace(/^(http:\/\/)?localhost:8888/, base);
  }
  if (body !== undefined) headers['content-type'] ??= 'application/x-www-form-urlencoded';
  return request(url, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers,
    ...(body === undefined ? {} : { body }),
  });
}

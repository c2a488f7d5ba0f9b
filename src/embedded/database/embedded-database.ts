import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { SettingsError } from '../../errors.ts';
import { type Logger, silentLogger } from '../../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../../lifecycle/service.ts';
import { messageOf } from '../../util/thrown.ts';
import { Backend } from './backend.ts';
import { message, startUp } from './backend-messages.ts';
import { DATABASE, ROLE } from './greeting.ts';
import { MessageSplitter } from './message-splitter.ts';
import { openPglite, type Pglite } from './pglite.ts';
import { Session, type SessionHost } from './session.ts';

export interface EmbeddedDatabaseOptions {
  /** Folder that the data is kept in; made when missing. No other process may have it open. Left out: memory. */
  readonly folder?: string;
  /** TCP port on 127.0.0.1; 0 takes a free one. @default 0 */
  readonly port?: number;
  /** That clients are asked for. @default none */
  readonly password?: string;
  readonly logger?: Logger;
  /** The database has broken down by itself; it is stopped then. */
  readonly onBroken?: (error: unknown) => void;
}

const HOST = '127.0.0.1';
/** Clients get this long to take their good-bye. */
const STOP_GRACE_MS = 500;

/**
 * PostgreSQL in this process (PGlite), for any client that speaks PostgreSQL's protocol: for development and tests, on
 * the loopback interface only. All connections share one backend: `Backend` says what that means.
 */
export class EmbeddedDatabase implements Service {
  readonly #lifecycle: Lifecycle;
  readonly #options: Required<Omit<EmbeddedDatabaseOptions, 'folder' | 'password'>> &
    Pick<EmbeddedDatabaseOptions, 'folder' | 'password'>;
  readonly #sessions = new Set<Session>();
  #server: Server | undefined;
  #backend: Backend | undefined;
  #lastProcessId = 0;

  constructor(options: EmbeddedDatabaseOptions = {}) {
    this.#options = { port: 0, logger: silentLogger, onBroken: () => undefined, ...options };
    this.#lifecycle = new Lifecycle('embedded database', { start: () => this.#start(), stop: () => this.#stop() });
  }

  get name(): string {
    return this.#lifecycle.name;
  }
  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  /** @throws EmbeddedDatabaseMissingError; SettingsError when the port is taken */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /** @throws NotRunningError (SVC_COMM_NOT_RUNNING) */
  get port(): number {
    this.#lifecycle.assertRunning();
    return portOf(this.#server);
  }

  /** With the password. @throws NotRunningError (SVC_COMM_NOT_RUNNING) */
  get url(): string {
    const { password } = this.#options;
    const secret = password === undefined ? '' : `:${encodeURIComponent(password)}`;
    return `postgres://${ROLE}${secret}@${HOST}:${this.port}/${DATABASE}`;
  }

  async #start(): Promise<void> {
    const { folder, port, logger } = this.#options;
    const pglite = await openPglite(folder);
    const backend = new Backend(pglite, (error) => this.#broken(error));
    this.#backend = backend;
    const host = this.#newHost(backend, await readParameters(pglite));
    const server = createServer((socket) => {
      this.#lastProcessId += 1;
      this.#sessions.add(new Session(this.#lastProcessId, socket, host));
    });
    this.#server = server;
    server.listen(port, HOST);
    await once(server, 'listening').catch((error: unknown) => {
      throw cannotListen(port, error);
    });
    logger.info({ host: HOST, port: portOf(server) }, 'embedded database: listening');
  }

  async #stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = server?.listening ? once(server, 'close') : undefined;
    server?.close();
    const sessions = [...this.#sessions];
    for (const session of sessions) session.shutDown();
    const impatience = setTimeout(() => {
      for (const session of sessions) session.cutOff();
    }, STOP_GRACE_MS);
    await closed;
    clearTimeout(impatience);
    await this.#backend?.close();
    this.#backend = undefined;
  }

  #broken(error: unknown): void {
    this.#options.logger.error({ error }, 'embedded database: it has broken down and stops');
    void this.stop().catch(() => undefined);
    this.#options.onBroken(error);
  }

  #newHost(backend: Backend, parameters: Buffer): SessionHost {
    return {
      backend,
      parameters,
      password: this.#options.password,
      notified: (channel, payload) => {
        for (const session of this.#sessions) session.notify(this.#lastProcessId, channel, payload);
      },
      unlistened: () => this.#listenAgain(backend),
      isSet: (setting) => [...this.#sessions].some(({ settings }) => settings.has(setting)),
      deallocated: (by) => {
        for (const session of this.#sessions) session.deallocated(by);
      },
      isLeftover: (clearing) => [...this.#sessions].some(({ leftovers }) => leftovers.has(clearing)),
      ended: (session) => this.#sessions.delete(session),
    };
  }

  /** One session's UNLISTEN is the backend's: the others still want to hear. */
  #listenAgain(backend: Backend): void {
    const names = new Set([...this.#sessions].flatMap(({ channels }) => [...channels.names]));
    const sql = [...names].map((name) => `LISTEN "${name.replaceAll('"', '""')}";`).join('');
    if (sql !== '') backend.run(this, message('Q', sql), () => undefined).catch(() => undefined);
  }
}

/** What the backend tells a client about itself at the start: it says it once only, to the first. */
async function readParameters(pglite: Pglite): Promise<Buffer> {
  const parts: Buffer[] = [];
  const splitter = new MessageSplitter();
  await pglite.execProtocolRawStream(startUp(ROLE, DATABASE), {
    onRawData: (data) => {
      for (const { type, bytes } of splitter.push(Buffer.from(data))) if (type === 'S') parts.push(bytes);
    },
  });
  return Buffer.concat(parts);
}

function portOf(server: Server | undefined): number {
  const address = server?.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function cannotListen(port: number, cause: unknown): SettingsError {
  const got = `${port}: ${messageOf(cause)}`;
  return new SettingsError([{ setting: 'port', expected: `a free port on ${HOST}`, got, from: 'options' }], { cause });
}

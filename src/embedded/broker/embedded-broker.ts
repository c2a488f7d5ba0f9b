import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { SettingsError } from '../../errors.ts';
import { Lifecycle, type Service, type ServiceState } from '../../lifecycle/service.ts';
import { messageOf } from '../../util/thrown.ts';
import { Alarms } from './alarm.ts';
import { Connection } from './connection.ts';
import type { ConnectionHost } from './connection-host.ts';
import { DirectReplies } from './direct-replies.ts';
import {
  type EmbeddedBrokerOptions,
  type ResolvedEmbeddedBrokerOptions,
  resolveEmbeddedBrokerOptions,
} from './embedded-broker-options.ts';
import { fromWire } from './fields.ts';
import { Journal } from './journal.ts';
import { OutputBudget } from './output-budget.ts';
import { ProtocolError } from './protocol-error.ts';
import { routedMessage } from './routed-message.ts';
import { UNRECORDED } from './state-changes.ts';
import type { Unacked } from './unacked-messages.ts';
import { VirtualHost } from './virtual-host.ts';

/** A queue, for people and tests. */
export interface QueueStatus {
  readonly name: string;
  readonly ready: number;
  readonly unacked: number;
  readonly consumers: number;
}

const SOCKET_BUFFER_BYTES = 256 * 1024;
/** Clients get this long to say good-bye. */
const STOP_GRACE_MS = 1000;
/** Blocked publishers go on when this share of the memory limit is held. */
const UNBLOCK_SHARE = 0.8;

/**
 * An AMQP 0-9-1 broker in this process, with the rules of RabbitMQ 3.10: for development and tests, on the loopback
 * interface only. Any AMQP client can use it.
 * @example
 * const broker = new EmbeddedBroker();
 * await broker.start();
 * const connection = await amqplib.connect(broker.url);
 */
export class EmbeddedBroker implements Service {
  readonly #lifecycle: Lifecycle;
  readonly #options: ResolvedEmbeddedBrokerOptions;
  readonly #connections = new Set<Connection>();
  #alarms: Alarms;
  #vhost: VirtualHost;
  #server: Server | undefined;
  #journal: Journal | undefined;
  #heldBytes = 0;
  #isBlocked = false;

  /** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for an option that cannot be */
  constructor(options: EmbeddedBrokerOptions = {}) {
    this.#options = resolveEmbeddedBrokerOptions(options);
    this.#lifecycle = new Lifecycle('embedded broker', {
      start: (signal) => this.#start(signal),
      stop: () => this.#stop(),
    });
    this.#alarms = new Alarms(this.#options.clock);
    this.#vhost = this.#newVirtualHost(undefined);
  }

  get name(): string {
    return this.#lifecycle.name;
  }
  get state(): ServiceState {
    return this.#lifecycle.state;
  }
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

  /** With the first user's credentials. @throws NotRunningError (SVC_COMM_NOT_RUNNING) */
  get url(): string {
    const [user, password] = Object.entries(this.#options.users)[0] ?? ['', ''];
    const host = this.#options.host.includes(':') ? `[${this.#options.host}]` : this.#options.host;
    return `amqp://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${this.port}`;
  }

  /** Clients that are connected now. */
  get connectionCount(): number {
    return [...this.#connections].filter(({ state }) => state === 'open').length;
  }

  /** Every queue as it is now. */
  queues(): readonly QueueStatus[] {
    return [...this.#vhost.queues.values()].map((queue) => ({
      name: fromWire(queue.name),
      ready: queue.ready.length,
      unacked: queue.unacked,
      consumers: queue.rota.size,
    }));
  }

  /** Does at once what has become due: call it after the injected clock was moved. */
  clockMoved(): void {
    this.#alarms.runDue();
  }

  async #start(signal: AbortSignal): Promise<void> {
    this.#alarms = new Alarms(this.#options.clock);
    this.#heldBytes = 0;
    this.#isBlocked = false;
    const journal = this.#newJournal();
    this.#vhost = this.#newVirtualHost(journal);
    await journal?.open(this.#vhost, signal);
    // Only now: what could not be read must not be overwritten by a stop.
    this.#journal = journal;
    if (signal.aborted) return;
    const host = this.#newHost();
    const server = createServer({ highWaterMark: SOCKET_BUFFER_BYTES, noDelay: true }, (socket) => {
      this.#accept(socket, host);
    });
    this.#server = server;
    server.listen(this.#options.port, this.#options.host);
    await once(server, 'listening').catch((error: unknown) => {
      throw cannotListen(this.#options, error);
    });
    this.#options.logger.info({ host: this.#options.host, port: portOf(server) }, 'embedded broker: listening');
  }

  #newJournal(): Journal | undefined {
    const { stateFile, logger } = this.#options;
    if (stateFile === undefined) return undefined;
    return new Journal({
      path: stateFile,
      state: () => ({ vhost: this.#vhost, unacked: this.#unsettled() }),
      heldBytes: () => this.#heldBytes,
      logger,
      onFailure: (error) => this.#broken(error),
    });
  }

  /** What clients were told is in the file, and nothing more can be: whoever is told nothing will try again. */
  #broken(error: unknown): void {
    const { stateFile, logger, onBroken } = this.#options;
    logger.error({ error, file: stateFile }, 'embedded broker: its state cannot be written, it stops');
    for (const connection of [...this.#connections]) connection.cutOff('its state cannot be written');
    this.stop().catch(() => undefined);
    onBroken(error);
  }

  async #stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = server?.listening ? once(server, 'close') : undefined;
    server?.close();
    const shutdown = new ProtocolError('CONNECTION_FORCED', "broker forced connection closure with reason 'shutdown'");
    for (const connection of [...this.#connections]) connection.close(shutdown);
    const impatience = setTimeout(() => {
      for (const connection of [...this.#connections]) connection.cutOff('the broker stops');
    }, STOP_GRACE_MS);
    await closed;
    clearTimeout(impatience);
    const journal = this.#journal;
    this.#journal = undefined;
    await journal?.close();
    this.#vhost.dispose();
  }

  #accept(socket: Socket, host: ConnectionHost): void {
    const connection = new Connection(socket, host);
    this.#connections.add(connection);
  }

  #newHost(): ConnectionHost {
    const { users, heartbeatSeconds, logger, outputLimitBytes } = this.#options;
    const isBlocked = () => this.#isBlocked;
    return {
      vhost: this.#vhost,
      replies: new DirectReplies(),
      budget: new OutputBudget(outputLimitBytes, () => this.#regulate()),
      users,
      heartbeatSeconds,
      logger,
      get isBlocked() {
        return isBlocked();
      },
      isKept: () => this.#journal?.flush() ?? true,
      ended: (connection) => this.#connections.delete(connection),
    };
  }

  #newVirtualHost(journal: Journal | undefined): VirtualHost {
    const { onRouted } = this.#options;
    return new VirtualHost(this.#alarms, {
      changes: journal ?? UNRECORDED,
      held: (bytes) => this.#held(bytes),
      lost: (queue, reason, error) => {
        const fields = { error, queue: fromWire(queue.name), reason };
        this.#options.logger.error(
          fields,
          'embedded broker: a message failed on its way to the dead letters, it is dropped',
        );
      },
      routed: onRouted && ((message) => onRouted(routedMessage(message))),
    });
  }

  #held(bytes: number): void {
    this.#heldBytes += bytes;
    const limit = this.#options.memoryLimitBytes;
    const isBlocked = this.#heldBytes > (this.#isBlocked ? limit * UNBLOCK_SHARE : limit);
    if (isBlocked === this.#isBlocked) return;
    this.#isBlocked = isBlocked;
    const fields = { heldBytes: this.#heldBytes, limitBytes: limit };
    if (isBlocked) this.#options.logger.warn(fields, 'embedded broker: queues are full, publishers wait');
    else this.#options.logger.info(fields, 'embedded broker: publishers go on');
    this.#regulate();
  }

  #regulate(): void {
    for (const connection of this.#connections) connection.regulate();
  }

  #unsettled(): readonly Unacked[] {
    return [...this.#connections].flatMap((connection) => connection.unsettled());
  }
}

function portOf(server: Server | undefined): number {
  const address = server?.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function cannotListen({ host, port }: ResolvedEmbeddedBrokerOptions, cause: unknown): SettingsError {
  const why = messageOf(cause);
  return new SettingsError(
    [{ setting: 'port', expected: `a free port on ${host}`, got: `${port}: ${why}`, from: 'options' }],
    {
      cause,
    },
  );
}

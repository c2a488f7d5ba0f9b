import type { Channel } from 'amqplib';
import { type TopologyDifference, TopologyMismatchError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import type { ReplyListener } from '../message/replies.ts';
import type { DeclareMode } from '../message/topology.ts';
import { unlessAborted } from '../util/unless-aborted.ts';
import { brokerText, REPLY, replyCode } from './amqp-error.ts';
import type { BrokerConnection } from './connection.ts';
import type { ExchangeDeclaration } from './declarations.ts';
import { DeclareChannel } from './declare-channel.ts';
import { ExchangeCheck } from './exchange-check.ts';
import { REBIND_MS, RebindWatch } from './rebind-watch.ts';
import { TemporaryQueue } from './temporary-queue.ts';
import { differenceOf } from './topology-difference.ts';
import { within } from './within.ts';

export interface ReplyQueueOptions {
  readonly connection: BrokerConnection;
  /** A durable topic exchange, of all instances of the service; with `create` it is made when it is missing. */
  readonly exchange: string;
  readonly declare: Exclude<DeclareMode, 'none'>;
  /** Of what comes, all instances of the service are told. Must not throw. */
  readonly onReply: ReplyListener['onReply'];
  /** Longest time from one look at the exchange and its binding to the next, in ms, ≥ 1. @default REBIND_MS */
  readonly rebindMs?: number;
  readonly logger: Logger;
}

/**
 * The way back for callees that answer by a message to an exchange: one of the service's own, bound with `#` to a
 * temporary queue of each instance. The exchange stays: a callee may answer when the caller has gone, and a publish to
 * one that is not there costs it its channel. Nothing is acked: whoever waits, waits in memory. `start` resolves also
 * when it may not receive: there is another way back. From time to time, and on each connection, exchange and binding are
 * looked at, and made again where somebody has taken them away.
 */
export class ReplyQueue implements Service {
  readonly name: string;
  readonly #exchange: ExchangeDeclaration & { readonly type: 'topic' };
  readonly #declare: ReplyQueueOptions['declare'];
  readonly #logger: Logger;
  readonly #lifecycle: Lifecycle;
  readonly #watch: RebindWatch;
  readonly #queue: TemporaryQueue;
  readonly #exchanges: ExchangeCheck;
  readonly #connection: BrokerConnection;
  /** Why the exchange is not there and cannot be made. */
  #refusal: string | undefined;
  /** What was warned about last, so that a state that lasts is warned about once. */
  #warned: string | undefined;
  /** The broker's name of the queue that was bound last. */
  #bound = '';
  #deciding: Promise<void> | undefined;
  #watching = new AbortController();
  #unlisten: () => void = () => undefined;

  constructor({ connection, exchange, declare, onReply, rebindMs = REBIND_MS, logger }: ReplyQueueOptions) {
    this.name = `replies to ${exchange}`;
    this.#exchange = { kind: 'exchange', name: exchange, type: 'topic' };
    this.#declare = declare;
    this.#logger = logger;
    this.#lifecycle = new Lifecycle(this.name, { start: () => this.#start(), stop: () => this.#stop() });
    this.#watch = new RebindWatch({ rebind: () => this.#rebind(), rebindMs, queue: this.name, logger });
    this.#exchanges = new ExchangeCheck(connection, { mode: declare, types: { [exchange]: 'topic' } });
    this.#connection = connection;
    this.#queue = new TemporaryQueue({
      connection,
      name: this.name,
      bind: (channel, queue) => this.#bind(channel, queue),
      onMessage: ({ content, properties }) => onReply({ body: content, properties }),
      onRefused: (error) => {
        // What else the broker says (the exchange was deleted meanwhile) may be otherwise the next time.
        const isForGood = this.#refusal !== undefined || replyCode(error) === REPLY.accessRefused;
        const reason = this.#refusal ?? brokerText(error);
        if (isForGood && reason !== this.#warned) {
          this.#warned = reason;
          logger.warn({ exchange, error: reason }, 'answers by message cannot be received');
        }
        return !isForGood;
      },
      logger,
    });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  /**
   * Where answers can be sent to; undefined where it may not receive, or is not started. The name is the same on the next
   * connection: a call that waits for that carries it.
   */
  get address(): string | undefined {
    const isThere = this.#queue.state === 'running' && !this.#queue.isGivenUp && this.#refusal === undefined;
    return isThere ? this.#exchange.name : undefined;
  }

  /** Whether there is something for `ready` to wait for. */
  get isReady(): boolean {
    return this.#queue.decided === undefined;
  }

  /**
   * Resolves when answers to the address arrive, or it is known that they cannot at the moment. Of a callee that is asked
   * before, on a new connection, the answer may come before the queue that it is for.
   * @throws BrokerUnavailableError (SVC_COMM_BROKER_UNAVAILABLE) when there is no connection within the time
   * @throws the signal's reason
   */
  async ready(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const silent = () => this.#connection.unavailable(`none within ${timeoutMs} ms`);
    const decided = within(timeoutMs, this.#decided(), silent);
    await (signal ? unlessAborted(decided, signal) : decided);
  }

  async #bind(channel: Channel, queue: string): Promise<void> {
    const open = this.#connection.current;
    const { name } = this.#exchange;
    this.#exchanges.forget();
    const verdict = open && (await this.#exchanges.ensure(name, open));
    this.#refusal = verdict?.kind === 'refused' ? verdict.reason : undefined;
    // Fails with the broker's code, unless somebody has made it meanwhile.
    if (this.#refusal !== undefined) await channel.checkExchange(name);
    this.#refusal = undefined;
    await channel.bindQueue(queue, name, '#');
    this.#bound = queue;
  }

  /**
   * @throws TopologyMismatchError (SVC_COMM_TOPOLOGY_MISMATCH) for an exchange that is missing or of another type, and what
   * the broker refuses the binding with
   */
  async #rebind(): Promise<void> {
    const open = this.#connection.current;
    if (!open) return;
    const looking = new DeclareChannel(this.#connection, open, true);
    try {
      const { isThere, difference } = await this.#look(looking);
      if (this.#queue.isGivenUp) {
        if (isThere) await this.#queue.tryAgain();
      } else {
        const refused = await looking.refusal((channel) => channel.bindQueue(this.#bound, this.#exchange.name, '#'));
        if (refused) throw refused;
        if (this.#queue.isReceiving) this.#warned = undefined;
      }
      if (difference) throw new TopologyMismatchError([difference]);
    } catch (error) {
      if (this.#connection.current === open) throw error;
    } finally {
      looking.close();
    }
  }

  /** Makes the exchange where it may. While it is given up it may have none. */
  async #look(looking: DeclareChannel): Promise<{ isThere: boolean; difference?: TopologyDifference }> {
    const { name, type } = this.#exchange;
    const { isGivenUp } = this.#queue;
    const unseen = await looking.refusal((channel) => channel.checkExchange(name));
    let missing = replyCode(unseen) === REPLY.notFound ? unseen : undefined;
    if (this.#declare === 'create') {
      const refused = await looking.refusal((channel) => channel.assertExchange(name, type, { durable: true }));
      if (refused && replyCode(refused) === REPLY.preconditionFailed) {
        this.#refusal = undefined;
        // It lets us bind, and may bring nothing.
        const todo = `delete "${name}": it is made again within a minute or so`;
        return { isThere: true, difference: { ...differenceOf(this.#exchange, refused), todo } };
      }
      if (missing && !refused && !isGivenUp) {
        this.#logger.warn({ exchange: name }, 'an exchange had gone, and all that was bound to it; made it again');
      }
      if (missing) missing = refused;
    }
    this.#refusal = missing && brokerText(missing);
    if (missing && !isGivenUp) throw new TopologyMismatchError([differenceOf(this.#exchange, missing)]);
    return { isThere: !missing };
  }

  /** The same promise for all who ask meanwhile. */
  #decided(): Promise<void> {
    this.#deciding ??= this.#isDecided().finally(() => {
      this.#deciding = undefined;
    });
    return this.#deciding;
  }

  async #isDecided(): Promise<void> {
    while (this.#queue.decided) await this.#queue.decided;
  }

  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async #start(): Promise<void> {
    await this.#queue.start();
    this.#watching = new AbortController();
    this.#unlisten = this.#connection.listen({ opened: () => this.#watch.reconnected() });
    void this.#watch.watch(() => this.#queue.isReceiving || this.#queue.isGivenUp, this.#watching.signal);
  }

  async #stop(): Promise<void> {
    this.#unlisten();
    this.#watching.abort();
    await this.#queue.stop();
  }
}

import type { Channel } from 'amqplib';
import { NotRunningError, type TopologyDifference, TopologyMismatchError } from '../errors.ts';
import { type Logger, silentLogger } from '../lifecycle/logger.ts';
import type { BindSpec, DeclareMode, Topology, TopologySpec } from '../message/topology.ts';
import { backoffMs } from '../util/backoff.ts';
import { sleep } from '../util/sleep.ts';
import { brokerText, REPLY, replyCode } from './amqp-error.ts';
import type { BrokerConnection } from './connection.ts';
import { type Declaration, declarationsOf } from './declarations.ts';
import { DeclareChannel } from './declare-channel.ts';
import { differenceOf, withFound } from './topology-difference.ts';

export interface BrokerTopologyOptions {
  readonly connection: BrokerConnection;
  /** `create` what is missing, `verify` that it exists (passively), `none`: touch nothing. @default 'create' */
  readonly declare?: DeclareMode;
  readonly logger?: Logger;
}

export const DEFAULT_BROKER_TOPOLOGY_OPTIONS = Object.freeze({
  declare: 'create',
  logger: silentLogger,
} satisfies Omit<BrokerTopologyOptions, 'connection'>);

/** What `inspect` found. */
export interface TopologyState {
  /** Queues and exchanges that do not exist. */
  readonly missing: readonly string[];
  readonly differences: readonly TopologyDifference[];
  /** What we may not declare, so that nobody knows whether it differs; the broker's words. */
  readonly refused: readonly string[];
}

/** Of one queue. A broker that answers otherwise than we think must not keep us asking. */
const MAX_DIFFERENCES = 20;

/**
 * Declares queues, exchanges and bindings, or verifies queues and exchanges (bindings cannot be looked at over AMQP).
 * Running it twice, or in several processes at once, changes nothing more.
 */
export class BrokerTopology implements Topology {
  readonly #options: Required<BrokerTopologyOptions>;

  constructor(options: BrokerTopologyOptions) {
    this.#options = { ...DEFAULT_BROKER_TOPOLOGY_OPTIONS, ...options };
  }

  /**
   * A lost connection is waited for: all of it can be done again.
   * @throws TopologyMismatchError (SVC_COMM_TOPOLOGY_MISMATCH) with every difference of every queue and exchange;
   *   nothing was changed
   * @throws NotRunningError (SVC_COMM_NOT_RUNNING) when the connection is stopped
   */
  async ensure(spec: TopologySpec): Promise<void> {
    if (this.#options.declare === 'none') return;
    const { connection } = this.#options;
    for (let attempt = 0; ; attempt++) {
      const open = connection.current;
      if (open) {
        const channel = new DeclareChannel(connection, open);
        try {
          return await (this.#options.declare === 'create' ? this.#create(channel, spec) : this.#verify(channel, spec));
        } catch (error) {
          if (error instanceof TopologyMismatchError || connection.current === open) throw error;
          this.#options.logger.warn({ error: brokerText(error) }, 'lost the broker while declaring; doing it again');
        } finally {
          channel.close();
        }
      }
      if (connection.state === 'idle' || connection.state === 'stopping') {
        throw new NotRunningError(connection.name, connection.state);
      }
      await sleep(backoffMs(attempt));
    }
  }

  /**
   * Makes exchanges and bindings again where somebody has taken them away; with `declare` other than `create` it does
   * nothing. It asks one thing at a time, and nothing of queues: whoever consumes or publishes to one that has gone is told.
   * When the connection is lost, what is left is left.
   * @throws TopologyMismatchError (SVC_COMM_TOPOLOGY_MISMATCH) for exchanges of another type, or that let us not bind; all
   *   others are bound
   * @throws BrokerUnavailableError (SVC_COMM_BROKER_UNAVAILABLE) when an answer does not come in time
   */
  async rebind(spec: TopologySpec): Promise<void> {
    const { connection, declare } = this.#options;
    const open = connection.current;
    if (declare !== 'create' || !open) return;
    // A cluster that has no majority answers what would change its exchanges or bindings late, and goes on delivering.
    const channel = new DeclareChannel(connection, open, true);
    try {
      await this.#rebind(channel, spec);
    } catch (error) {
      if (connection.current === open) throw error;
    } finally {
      channel.close();
    }
  }

  async #rebind(channel: DeclareChannel, spec: TopologySpec): Promise<void> {
    const differences: TopologyDifference[] = [];
    const { binds } = spec;
    for (const declaration of declarationsOf(spec, this.#options.connection.serverVersion)) {
      if (declaration.kind !== 'exchange') continue;
      const { name } = declaration;
      const unseen = await channel.refusal((amqp) => look(amqp, declaration));
      const error = await this.#declare(channel, declaration);
      if (error) {
        differences.push(differenceOf(declaration, error));
        continue;
      }
      if (unseen && replyCode(unseen) === REPLY.notFound) {
        this.#options.logger.warn(
          { exchange: name },
          'an exchange had gone, and all that was bound to it; made it again',
        );
      }
      differences.push(
        ...(await this.#bind(
          channel,
          spec.queue.name,
          binds.filter(({ exchange }) => exchange === name),
        )),
      );
    }
    if (differences.length > 0) throw new TopologyMismatchError(differences);
  }

  /** What is missing and what differs; nothing is made, whatever `declare` says. The connection must be open. */
  async inspect(spec: TopologySpec): Promise<TopologyState> {
    const { connection } = this.#options;
    const open = connection.current;
    if (!open) throw new NotRunningError(connection.name, connection.state);
    const channel = new DeclareChannel(connection, open);
    const missing: string[] = [];
    const differences: TopologyDifference[] = [];
    const refused: string[] = [];
    try {
      for (const declaration of declarationsOf(spec, connection.serverVersion)) {
        const unseen = await channel.refusal((amqp) => look(amqp, declaration));
        const error = unseen ?? (await this.#declare(channel, declaration));
        if (!error) continue;
        if (replyCode(error) === REPLY.notFound) missing.push(`${declaration.kind} "${declaration.name}"`);
        else if (replyCode(error) === REPLY.accessRefused) refused.push(brokerText(error));
        else differences.push(...(await this.#compare(channel, declaration)));
      }
    } finally {
      channel.close();
    }
    return { missing, differences, refused };
  }

  async #verify(channel: DeclareChannel, spec: TopologySpec): Promise<void> {
    const differences: TopologyDifference[] = [];
    for (const declaration of declarationsOf(spec, this.#options.connection.serverVersion)) {
      const error = await channel.refusal((amqp) => look(amqp, declaration));
      if (error && !this.#cannotSee(declaration, error)) differences.push(differenceOf(declaration, error));
    }
    if (differences.length > 0) throw new TopologyMismatchError(differences);
  }

  async #create(channel: DeclareChannel, spec: TopologySpec): Promise<void> {
    const declarations = declarationsOf(spec, this.#options.connection.serverVersion);
    const missing: Declaration[] = [];
    const differences: TopologyDifference[] = [];
    // What exists is compared before anything is made, so that a mismatch leaves the broker as it was.
    for (const declaration of declarations) {
      const unseen = await channel.refusal((amqp) => look(amqp, declaration));
      if (unseen && replyCode(unseen) === REPLY.notFound) {
        missing.push(declaration);
        continue;
      }
      differences.push(...(await this.#compare(channel, declaration)));
    }
    if (differences.length > 0) throw new TopologyMismatchError(differences);
    for (const declaration of missing) {
      const error = await this.#declare(channel, declaration);
      if (error) differences.push(differenceOf(declaration, error));
    }
    if (differences.length > 0) throw new TopologyMismatchError(differences);
    differences.push(...(await this.#bind(channel, spec.queue.name, spec.binds)));
    if (differences.length > 0) throw new TopologyMismatchError(differences);
  }

  /** @returns the first that is refused, which is the last that is tried */
  async #bind(channel: DeclareChannel, queue: string, binds: readonly BindSpec[]): Promise<TopologyDifference[]> {
    for (const { exchange, pattern } of binds) {
      if (exchange === '') continue;
      const error = await channel.refusal((amqp) => amqp.bindQueue(queue, exchange, pattern));
      if (error) return [bindingRefused(queue, exchange, pattern, error)];
    }
    return [];
  }

  /** Every difference between what is there and the declaration. */
  async #compare(channel: DeclareChannel, declaration: Declaration): Promise<readonly TopologyDifference[]> {
    const differences: TopologyDifference[] = [];
    let next: Declaration | undefined = declaration;
    while (next && differences.length < MAX_DIFFERENCES) {
      const error: Error | undefined = await this.#declare(channel, next);
      if (!error) break;
      differences.push(differenceOf(declaration, error));
      next = withFound(next, error);
    }
    return differences;
  }

  async #declare(channel: DeclareChannel, declaration: Declaration): Promise<Error | undefined> {
    if (declaration.kind === 'exchange') {
      const { name, type } = declaration;
      // Built-in ones cannot be declared; of an untyped one it is enough that it exists.
      if (name.startsWith('amq.')) return channel.refusal((amqp) => amqp.checkExchange(name));
      const isThere = type === undefined && !(await channel.refusal((amqp) => amqp.checkExchange(name)));
      if (isThere) return undefined;
      return channel.refusal((amqp) => amqp.assertExchange(name, type ?? 'topic', { durable: true }));
    }
    const { name, arguments: args } = declaration;
    const error = await channel.refusal((amqp) => amqp.assertQueue(name, { durable: true, arguments: args }));
    if (args['x-delivery-limit'] !== -1 || !error || !brokerText(error).includes("'x-delivery-limit'")) return error;
    // Made by a broker below 4.0, where there was no limit to be lifted.
    this.#options.logger.warn({ queue: name }, 'this queue has a delivery limit, which counts lost connections too');
    const { 'x-delivery-limit': _, ...rest } = args;
    return channel.refusal((amqp) => amqp.assertQueue(name, { durable: true, arguments: rest }));
  }

  /** From RabbitMQ 4.3 looking needs a permission, which a user that may only consume and publish does not have. */
  #cannotSee({ kind, name }: Declaration, error: Error): boolean {
    if (replyCode(error) !== REPLY.accessRefused) return false;
    this.#options.logger.warn({ kind, name, error: brokerText(error) }, 'not permitted to verify it');
    return true;
  }
}

async function look(channel: Channel, { kind, name }: Declaration): Promise<void> {
  await (kind === 'queue' ? channel.checkQueue(name) : channel.checkExchange(name));
}

function bindingRefused(queue: string, exchange: string, pattern: string, error: Error): TopologyDifference {
  return {
    what: `binding of queue "${queue}" to exchange "${exchange}" with "${pattern}"`,
    wanted: 'it',
    found: brokerText(error),
    todo: 'grant write on the queue and read on the exchange, or bind it otherwise and set declare to verify',
  };
}

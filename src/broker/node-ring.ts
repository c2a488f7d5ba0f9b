import type { ChannelModel } from 'amqplib';
import { BrokerAccessRefusedError, BrokerTlsError, BrokerUnavailableError } from '../errors.ts';
import { messageOf } from '../util/thrown.ts';
import { isAccessRefused, refusalText } from './amqp-error.ts';
import { isTlsFailure, tlsAdvice } from './broker-tls.ts';
import type { BrokerNode } from './broker-url.ts';
import { type DialOptions, dial } from './dial.ts';

export type RoundResult =
  | { readonly kind: 'open'; readonly model: ChannelModel; readonly node: BrokerNode }
  | { readonly kind: 'failed'; readonly error: BrokerAccessRefusedError | BrokerTlsError | BrokerUnavailableError };

type Nodes = readonly [BrokerNode, ...BrokerNode[]];

/** The nodes of a cluster, tried in turn; a round begins behind the node that failed last. */
export class NodeRing {
  readonly #nodes: () => Nodes;
  readonly #options: DialOptions;
  #next = 0;

  /** @param nodes asked before each round */
  constructor(nodes: () => Nodes, options: DialOptions) {
    this.#nodes = nodes;
    this.#options = options;
  }

  /** Masked, for texts. */
  get urls(): readonly string[] {
    return this.#nodes().map((node) => node.masked);
  }

  /** Begins the next round behind the node that was open last: it answers, and does not do its work. */
  skip(): void {
    this.#next += 1;
  }

  /**
   * Tries each node once, until one opens or refuses us: the others share its users. Certificates are each its own: only
   * when all fail for theirs is it no use to wait. Never rejects.
   */
  async round(signal: AbortSignal): Promise<RoundResult> {
    const failures = new Set<string>();
    let cause: unknown;
    let tls: BrokerTlsError | undefined;
    let isTlsAlone = true;
    const nodes = this.#nodes();
    for (const _ of nodes) {
      const node = nodes[this.#next % nodes.length] ?? nodes[0];
      try {
        return { kind: 'open', node, model: await dial(node, this.#options, signal) };
      } catch (error) {
        if (signal.aborted) break;
        this.#next += 1;
        if (isAccessRefused(error)) {
          return { kind: 'failed', error: new BrokerAccessRefusedError(node.masked, refusalText(error, node.vhost)) };
        }
        const text = messageOf(error);
        cause = error;
        if (isTlsFailure(error)) {
          tls = new BrokerTlsError(node.masked, text, tlsAdvice(error), { cause: error });
          failures.add(tls.message);
        } else {
          isTlsAlone = false;
          failures.add(text);
        }
      }
    }
    if (tls && isTlsAlone && !signal.aborted) return { kind: 'failed', error: tls };
    const detail = [...failures].join('; ') || 'it was not waited for';
    return { kind: 'failed', error: new BrokerUnavailableError(this.urls, detail, { cause }) };
  }
}

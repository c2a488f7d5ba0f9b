import type { Contract } from './contract.ts';

/** What tells contracts apart: two of one kind, exchange and routing key are the same message. */
export type MessageName = Pick<Contract, 'kind' | 'exchange' | 'routingKey'>;

/** More than a service has; only names made of data would come near. */
const MOST = 10_000;

/**
 * The contracts that a process has made, and which of them it has sent. Of one kind, exchange and routing key the latest
 * counts, so that what makes its contracts again (a reload, a test) adds nothing.
 */
export class ContractRegistry {
  readonly #contracts = new Map<string, Contract>();
  readonly #sent = new Set<string>();

  add(contract: Contract): void {
    const id = idOf(contract);
    this.#contracts.delete(id);
    this.#contracts.set(id, contract);
    if (this.#contracts.size <= MOST) return;
    const [oldest] = this.#contracts.keys();
    if (oldest !== undefined) this.#contracts.delete(oldest);
  }

  /** Something of this contract was handed over to be sent. */
  noteSent(contract: MessageName): void {
    if (this.#sent.size < MOST) this.#sent.add(idOf(contract));
  }

  /** Since the process began. */
  isSent(contract: MessageName): boolean {
    return this.#sent.has(idOf(contract));
  }

  find(name: MessageName): Contract | undefined {
    return this.#contracts.get(idOf(name));
  }

  /** Those made last come last. */
  get all(): readonly Contract[] {
    return [...this.#contracts.values()];
  }
}

const idOf = ({ kind, exchange, routingKey }: MessageName): string => JSON.stringify([kind, exchange, routingKey]);

/**
 * Of the whole process: a package of shared contracts may have been installed with a copy of svc-comm of its own, and
 * its contracts count too.
 */
const PLACE = Symbol.for('svc-comm.contracts');
const place = globalThis as { [PLACE]?: ContractRegistry };

/** The registry of this process: what `event()`, `command()` and `callable()` are recorded in. */
export const contractRegistry: ContractRegistry = place[PLACE] ?? new ContractRegistry();
place[PLACE] = contractRegistry;

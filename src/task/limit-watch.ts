import type { ProcessTree } from './process-tree.ts';

/** What a run may take, with all that it starts. */
export interface RunLimits {
  readonly memoryBytes: number;
  readonly processes: number;
}

/** Which limit it went over, as its failure says it. */
export interface Exceeded {
  readonly code: 'OUT_OF_MEMORY' | 'TOO_MANY_PROCESSES';
  readonly message: string;
}

const LOOK_MS = 200;
const MIB = 1024 * 1024;

/**
 * Ends a run that takes more than it may. Node's heap has a limit of its own; buffers, native code and processes that the
 * run has started do not.
 */
export class LimitWatch {
  readonly #tree: ProcessTree;
  readonly #limits: RunLimits;
  #timer: NodeJS.Timeout | undefined;
  #exceeded: Exceeded | undefined;

  constructor(tree: ProcessTree, limits: RunLimits) {
    this.#tree = tree;
    this.#limits = limits;
  }

  /** Of the run that began last. */
  get exceeded(): Exceeded | undefined {
    return this.#exceeded;
  }

  get overMemory(): Exceeded {
    const mib = Math.floor(this.#limits.memoryBytes / MIB);
    return { code: 'OUT_OF_MEMORY', message: `it needed more memory than ${mib} MiB` };
  }

  begin(): void {
    this.#exceeded = undefined;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { memoryBytes, processes } = this.#limits;
    const usage = this.#tree.usage(processes);
    if (usage.processes > processes) {
      this.#exceeded = { code: 'TOO_MANY_PROCESSES', message: `it had more than ${processes} processes` };
    } else if (usage.bytes > memoryBytes) this.#exceeded = this.overMemory;
    if (this.#exceeded) this.#tree.kill();
  }
}

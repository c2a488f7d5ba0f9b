import type { ProcessTree } from './process-tree.ts';

const LOOK_MS = 200;

/** Ends a run that takes more memory than it may. The heap has a limit of its own; buffers and native code do not. */
export class MemoryWatch {
  readonly #tree: ProcessTree;
  readonly #mostBytes: number;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(tree: ProcessTree, mostBytes: number) {
    this.#tree = tree;
    this.#mostBytes = mostBytes;
  }

  /** Whether the run that began last took too much. */
  get isOver(): boolean {
    return this.#isOver;
  }

  begin(): void {
    this.#isOver = false;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const bytes = this.#tree.residentBytes;
    if (bytes === undefined || bytes <= this.#mostBytes) return;
    this.#isOver = true;
    this.#tree.kill();
  }
}

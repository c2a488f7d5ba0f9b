export interface Terminal {
  write(text: string): unknown;
  readonly columns?: number | undefined;
}

const WIDTH = 24;

/** One line of a terminal that is drawn over: `██████░░░░  60 %  what it does now`. */
export class ProgressBar {
  readonly #terminal: Terminal;
  #isDrawn = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** @param fraction 0 … 1 */
  draw(fraction: number, note = ''): void {
    const full = Math.round(fraction * WIDTH);
    const percent = `${Math.round(fraction * 100)} %`.padStart(5);
    const line = `${'█'.repeat(full)}${'░'.repeat(WIDTH - full)} ${percent}  ${note.replaceAll('\n', ' ')}`;
    this.#terminal.write(`\r\u001b[K${line.slice(0, (this.#terminal.columns ?? 80) - 1)}`);
    this.#isDrawn = true;
  }

  clear(): void {
    if (this.#isDrawn) this.#terminal.write('\r\u001b[K');
    this.#isDrawn = false;
  }
}

import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

interface SeenRun {
  readonly name: string;
  readonly id: string;
  readonly attempt: number;
}

/**
 * Knows which runs of tasks are alive: each holds a connection to it, which the kernel closes however the process ends.
 * A run begins when its first line is answered, with a second line `done` it has come to its end.
 */
export class RunWitness {
  /** Runs that began. */
  runs = 0;
  /** Runs of a task that began while another run of it was alive. */
  readonly overlaps: string[] = [];
  readonly #path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #alive = new Map<Socket, SeenRun>();
  readonly #most = new Map<string, number>();
  readonly #done = new Set<string>();

  constructor(path: string) {
    this.#path = path;
    this.#server = createServer((socket) => this.#meet(socket));
  }

  open(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(this.#path, resolve));
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  /** The most runs of a task of this name that were alive at once. */
  most(name: string): number {
    return this.#most.get(name) ?? 0;
  }

  hasDone(id: string, attempt: number): boolean {
    return this.#done.has(`${id} ${attempt}`);
  }

  #meet(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#alive.delete(socket);
    });
    const lines = createInterface({ input: socket });
    // It tells of the socket's errors as well: one whose process was killed before it read is reset.
    lines.on('error', () => undefined);
    lines.on('line', (line) => {
      const run = this.#alive.get(socket);
      if (run) this.#done.add(`${run.id} ${run.attempt}`);
      // After what this turn of the event loop has still to tell: the end of a run before this one may be among it.
      else setImmediate(() => setImmediate(() => this.#begin(socket, JSON.parse(line))));
    });
  }

  #begin(socket: Socket, run: SeenRun): void {
    if (socket.destroyed) return;
    this.runs += 1;
    const others = [...this.#alive.values()].filter(({ name }) => name === run.name);
    if (others.some(({ id }) => id === run.id)) this.overlaps.push(run.id);
    this.#alive.set(socket, run);
    this.#most.set(run.name, Math.max(this.most(run.name), others.length + 1));
    socket.write('go\n');
  }
}

import { type Direction, type Frame, FrameProxy, type Session } from './frame-proxy.ts';

export interface PgFrame extends Frame {
  /** The statement that it asks for, or answers; undefined where it belongs to none. */
  readonly sql: string | undefined;
  /** Of `complete`: `COMMIT`, `INSERT 0 1`. */
  readonly tag: string;
}

export type PgProxy = FrameProxy<PgFrame, PgSession>;
export const pgProxy = (url: string): Promise<PgProxy> => FrameProxy.to<PgFrame, PgSession>(url, () => new PgSession());

/** Message formats: PostgreSQL documentation, 55.7. */
const FRONTEND: Readonly<Record<string, string>> = {
  Q: 'query',
  P: 'parse',
  B: 'bind',
  E: 'execute',
  S: 'sync',
  X: 'terminate',
};
const BACKEND: Readonly<Record<string, string>> = {
  C: 'complete',
  E: 'error',
  Z: 'ready',
  D: 'row',
  A: 'notification',
};

/** One PostgreSQL connection as somebody on the wire sees it: which statement each frame belongs to. */
export class PgSession implements Session<PgFrame> {
  readonly #rest: Record<Direction, Buffer> = { 'to-server': Buffer.alloc(0), 'to-client': Buffer.alloc(0) };
  readonly #prepared = new Map<string, string>();
  /** Asked for and not answered. */
  readonly #pending: string[] = [];
  #bound = '';
  /** As the client gave it at its start. */
  applicationName = '';
  #isStarted = false;

  split(direction: Direction, bytes: Buffer): PgFrame[] {
    const rest = this.#rest[direction];
    let buffer = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    const frames: PgFrame[] = [];
    if (direction === 'to-server' && !this.#isStarted) {
      if (buffer.length < 4 || buffer.length < buffer.readInt32BE(0)) {
        this.#rest[direction] = Buffer.from(buffer);
        return frames;
      }
      const length = buffer.readInt32BE(0);
      this.#isStarted = true;
      const parameters = buffer.toString('utf8', 8, length).split('\0');
      this.applicationName = parameters[parameters.indexOf('application_name') + 1] ?? '';
      frames.push({ kind: 'startup', bytes: buffer.subarray(0, length), sql: undefined, tag: '' });
      buffer = buffer.subarray(length);
    }
    while (buffer.length >= 5) {
      const length = 1 + buffer.readInt32BE(1);
      if (buffer.length < length) break;
      const frame = buffer.subarray(0, length);
      frames.push(direction === 'to-server' ? this.#request(frame) : this.#answer(frame));
      buffer = buffer.subarray(length);
    }
    this.#rest[direction] = Buffer.from(buffer);
    return frames;
  }

  #request(bytes: Buffer): PgFrame {
    const kind = FRONTEND[String.fromCharCode(bytes[0] ?? 0)] ?? 'other';
    let sql: string | undefined;
    if (kind === 'query') {
      sql = text(bytes, 5);
      this.#pending.push(sql);
    } else if (kind === 'parse') {
      const name = text(bytes, 5);
      sql = text(bytes, 5 + Buffer.byteLength(name) + 1);
      this.#prepared.set(name, sql);
    } else if (kind === 'bind') {
      const portal = text(bytes, 5);
      sql = this.#prepared.get(text(bytes, 5 + Buffer.byteLength(portal) + 1)) ?? '';
      this.#bound = sql;
    } else if (kind === 'execute') {
      sql = this.#bound;
      this.#pending.push(sql);
    }
    return { kind, bytes, sql, tag: '' };
  }

  #answer(bytes: Buffer): PgFrame {
    const kind = BACKEND[String.fromCharCode(bytes[0] ?? 0)] ?? 'other';
    const [sql] = this.#pending;
    if (kind === 'complete') this.#pending.shift();
    // After an error the server skips to the next sync, and both start anew.
    if (kind === 'ready') this.#pending.length = 0;
    return { kind, bytes, sql, tag: kind === 'complete' ? text(bytes, 5) : '' };
  }
}

const text = (bytes: Buffer, at: number): string => bytes.toString('utf8', at, bytes.indexOf(0, at));

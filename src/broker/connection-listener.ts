import type { ChannelModel } from 'amqplib';
import type { Logger } from '../lifecycle/logger.ts';

/** A connection as long as it is open. Channels and deliveries belong to its epoch. */
export interface OpenConnection {
  /** 1 for the first, one more for each after it. */
  readonly epoch: number;
  readonly model: ChannelModel;
}

/** What the parts on a connection hear of it. `lost` comes once for each `opened`, also when we close it ourselves. */
export interface ConnectionListener {
  opened?(open: OpenConnection): void;
  lost?(error: Error): void;
  /** The broker has stopped taking publishes (memory or disk alarm). */
  blocked?(reason: string): void;
  unblocked?(): void;
}

/** A listener that throws is logged: it runs in amqplib's stack, where a throw would close the connection. */
export class ListenerSet {
  readonly #listeners = new Set<ConnectionListener>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(listener: ConnectionListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  nextOpen(signal: AbortSignal): Promise<OpenConnection> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const end = () => {
        remove();
        signal.removeEventListener('abort', onAbort);
      };
      const onAbort = () => {
        end();
        reject(signal.reason);
      };
      const remove = this.add({
        opened: (open) => {
          end();
          resolve(open);
        },
      });
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  opened(open: OpenConnection): void {
    this.#tell((listener) => listener.opened?.(open));
  }

  lost(error: Error): void {
    this.#tell((listener) => listener.lost?.(error));
  }

  blocked(reason: string): void {
    this.#tell((listener) => listener.blocked?.(reason));
  }

  unblocked(): void {
    this.#tell((listener) => listener.unblocked?.());
  }

  #tell(call: (listener: ConnectionListener) => void): void {
    for (const listener of [...this.#listeners]) {
      try {
        call(listener);
      } catch (error) {
        this.#logger.error({ error }, 'a listener of the broker connection failed');
      }
    }
  }
}

import type { CrashingMessageError } from '../errors.ts';
import { type Deferred, deferred } from '../util/deferred.ts';
import type { InFlight } from './in-flight.ts';
import type { IsolationHost } from './isolation.ts';
import type { Lanes } from './lanes.ts';

export interface LaneHostOptions {
  readonly lanes: Lanes<InFlight>;
  /** Whether no handler runs, or nobody is to wait for one any more. */
  readonly isIdle: () => boolean;
  readonly giveUp: IsolationHost['giveUp'];
}

/** The lanes of a pipeline, for its isolation. The pipeline tells when a run has ended. */
export class LaneHost implements IsolationHost {
  readonly #options: LaneHostOptions;
  #idle: Deferred<void> | undefined;
  #ended: Deferred<void> | undefined;

  constructor(options: LaneHostOptions) {
    this.#options = options;
  }

  hold(): Promise<void> {
    this.#options.lanes.hold();
    this.#idle = deferred();
    this.#checkIdle();
    return this.#idle.promise;
  }

  unhold(): void {
    this.#options.lanes.unhold();
  }

  runAlone(message: InFlight): Promise<void> {
    this.#ended = deferred();
    this.#options.lanes.beginAlone(message);
    return this.#ended.promise;
  }

  admit(message: InFlight): void {
    message.isSuspect = false;
    this.#options.lanes.resume(message);
  }

  giveUp(message: InFlight, error: CrashingMessageError): Promise<boolean> {
    return this.#options.giveUp(message, error);
  }

  drop(message: InFlight): void {
    this.#options.lanes.leave(message);
  }

  /** A run has ended, or did not begin; whatever came out of it, the message did not end the process. */
  onEnded(message: InFlight): void {
    if (message.isSuspect) {
      message.isSuspect = false;
      this.#ended?.resolve();
    }
    this.#checkIdle();
  }

  /** The pipeline drains. */
  onDraining(): void {
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (this.#options.isIdle()) this.#idle?.resolve();
  }
}

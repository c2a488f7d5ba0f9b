/** What `unshare` of util-linux 2.38 says, by itself, and exits with 1, when its child was killed by SIGKILL. */
const NOTICE = Buffer.from('unshare: sigprocmask unblock failed');
const NOTHING = Buffer.alloc(0);
const LINE_FEED = 10;

/**
 * Takes the words of `unshare` about a killed process out of what that process writes: they are not the task's, and
 * nobody's worry. They come in pieces, since `unshare` writes them so, and behind whatever the process wrote last.
 */
export class KilledNotice {
  /** That the process was killed by SIGKILL. */
  isGiven = false;
  /** May become the notice. */
  #held: Buffer = NOTHING;
  #isInItsLine = false;

  /** @returns what of it is the process's own; what may become the notice is kept until that is known */
  take(chunk: Buffer): Buffer {
    if (this.#isInItsLine) return this.#behindItsLine(chunk);
    const all = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = NOTHING;
    const at = all.indexOf(NOTICE);
    if (at >= 0) {
      this.isGiven = true;
      this.#isInItsLine = true;
      return Buffer.concat([all.subarray(0, at), this.#behindItsLine(all.subarray(at))]);
    }
    const kept = beginningAtTheEndOf(all);
    this.#held = all.subarray(all.length - kept);
    return all.subarray(0, all.length - kept);
  }

  /** @returns what was kept, when nothing more comes */
  end(): Buffer {
    const held = this.#held;
    this.#held = NOTHING;
    return held;
  }

  #behindItsLine(chunk: Buffer): Buffer {
    const end = chunk.indexOf(LINE_FEED);
    if (end < 0) return NOTHING;
    this.#isInItsLine = false;
    return this.take(chunk.subarray(end + 1));
  }
}

/** @returns bytes at the end of `all` with which the notice could begin */
function beginningAtTheEndOf(all: Buffer): number {
  for (let length = Math.min(NOTICE.length - 1, all.length); length > 0; length--) {
    if (all.subarray(all.length - length).equals(NOTICE.subarray(0, length))) return length;
  }
  return 0;
}

/**
 * The right to relay one partition. Rows carry the grant under which they were read; when the partition is given up
 * or lost the grant is revoked for good, and a partition that comes back comes with a new one.
 */
export class LeaseGrant {
  readonly part: number;
  /** Fences writes: it grows with each owner of the partition. */
  readonly epoch: string;
  /** On the monotonic clock; measured from before the renewal was sent, so never later than the database's `until`. */
  deadlineMs: number;
  #isRevoked = false;

  constructor(part: number, epoch: string, deadlineMs: number) {
    this.part = part;
    this.epoch = epoch;
    this.deadlineMs = deadlineMs;
  }

  get isRevoked(): boolean {
    return this.#isRevoked;
  }

  revoke(): void {
    this.#isRevoked = true;
  }

  /** Whether another relay cannot have the partition yet. */
  isLive(nowMs: number): boolean {
    return !this.#isRevoked && nowMs < this.deadlineMs;
  }
}

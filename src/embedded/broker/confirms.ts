/** Publisher confirms of one channel: acks are gathered into one with `multiple` for each batch of frames read. */
export class Confirms {
  readonly #send: (kind: 'basic.ack' | 'basic.nack', deliveryTag: number, isMultiple: boolean) => void;
  #next = 1;
  #acked = 0;
  #pending = 0;

  constructor(send: (kind: 'basic.ack' | 'basic.nack', deliveryTag: number, isMultiple: boolean) => void) {
    this.#send = send;
  }

  ack(): void {
    this.#acked = this.#next++;
    this.#pending += 1;
  }

  nack(): void {
    const tag = this.#next++;
    // Before any ack with `multiple` that goes past it.
    this.#send('basic.nack', tag, false);
  }

  flush(): void {
    if (this.#pending === 0) return;
    this.#send('basic.ack', this.#acked, this.#pending > 1);
    this.#pending = 0;
  }
}

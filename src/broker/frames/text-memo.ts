const SLOTS = 256;
/** Longer ones are seldom sent twice. */
const MAX_BYTES = 64;

interface Known {
  readonly bytes: Buffer;
  readonly text: string;
}

/** Texts that come again and again, such as names of exchanges: comparing their bytes costs less than another string. */
export class TextMemo {
  readonly #slots: (Known | undefined)[] = new Array(SLOTS).fill(undefined);

  read(bytes: Buffer, at: number, length: number): string {
    if (length === 0) return '';
    if (length > MAX_BYTES) return bytes.toString('utf8', at, at + length);
    const slot = slotOf(bytes, at, length);
    const known = this.#slots[slot];
    if (known !== undefined && isSame(known.bytes, bytes, at, length)) return known.text;
    const text = bytes.toString('utf8', at, at + length);
    // A copy: a view would keep the whole of what came with it.
    this.#slots[slot] = { bytes: Buffer.from(bytes.subarray(at, at + length)), text };
    return text;
  }
}

/** Names differ at their ends more than at their beginnings. */
function slotOf(bytes: Buffer, at: number, length: number): number {
  const last = at + length - 1;
  const middle = at + (length >> 1);
  return ((bytes[last] as number) * 31 + (bytes[middle] as number) * 7 + (bytes[at] as number) + length) % SLOTS;
}

function isSame(known: Buffer, bytes: Buffer, at: number, length: number): boolean {
  if (known.length !== length) return false;
  for (let i = 0; i < length; i++) if (known[i] !== bytes[at + i]) return false;
  return true;
}

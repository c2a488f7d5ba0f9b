import type { Random } from '../faults/random.ts';

/** Bytes that were good, a little damaged: some changed, cut off, doubled or put in. */
export function damaged(bytes: Buffer, random: Random, from = 0): Buffer {
  let hurt = Buffer.from(bytes);
  for (let change = random.below(3); change >= 0 && hurt.length > from; change--) {
    const at = from + random.below(hurt.length - from);
    switch (random.below(8)) {
      case 0:
        hurt = hurt.subarray(0, at);
        break;
      case 1:
        hurt = Buffer.concat([hurt.subarray(0, at), hurt.subarray(from, at), hurt.subarray(at)]);
        break;
      case 2:
        hurt = Buffer.concat([hurt.subarray(0, at), randomBytes(random, 1 + random.below(8)), hurt.subarray(at)]);
        break;
      case 3:
        hurt[at] = random.pick([0, 1, 0x7f, 0x80, 0xfe, 0xff]);
        break;
      default:
        hurt[at] = random.below(256);
    }
  }
  return hurt;
}

export const randomBytes = (random: Random, length: number): Buffer =>
  Buffer.from(Array.from({ length }, () => random.below(256)));

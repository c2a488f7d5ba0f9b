import { sampleEvent } from '../event.ts';
import type { Path } from './ratio.ts';

const NAMES = Array.from({ length: 64 }, (_, i) => `name.${i}`);

/** What every path of ours is made of, without us: JSON there and back, bytes, a map, an object. */
export function calibratedLoop(): Path {
  const bytes = Buffer.from(sampleEvent('order'));
  const map = new Map(NAMES.map((name, i) => [name, { i }]));
  let seen = 0;
  return {
    name: 'loop',
    most: Number.POSITIVE_INFINITY,
    run(times) {
      for (let n = 0; n < times; n++) {
        const value = JSON.parse(bytes.toString('utf8'));
        const text = JSON.stringify({ ...value, id: n });
        seen += (map.get(NAMES[n % NAMES.length] ?? '')?.i ?? 0) + Buffer.from(text).length;
      }
      return seen;
    },
  };
}

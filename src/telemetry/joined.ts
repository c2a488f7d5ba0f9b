import { METRICS, type Metric, type Reading } from './metrics.ts';

const JOIN = {
  sum: (a: number, b: number) => a + b,
  max: Math.max,
  min: Math.min,
} as const;

/** One value for those who tell the same metric with the same labels: several consumers of a queue, several services. */
export function joined(readings: Iterable<Reading>): Reading[] {
  const found = new Map<string, Reading>();
  for (const reading of readings) {
    const { name, labels, value } = reading;
    const { several = 'sum' }: Metric = METRICS[name];
    const key = JSON.stringify([name, labels]);
    const known = found.get(key);
    found.set(key, known ? { name, labels, value: JOIN[several](known.value, value) } : reading);
  }
  return [...found.values()];
}

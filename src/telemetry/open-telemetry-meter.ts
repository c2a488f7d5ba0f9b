import {
  type BatchObservableResult,
  type Histogram,
  type MeterProvider,
  metrics,
  type Observable,
} from '@opentelemetry/api';
import { joined } from './joined.ts';
import { BUCKETS, type DurationName, METRICS, type Metric, type MetricName, type Reading } from './metrics.ts';

export type Histograms = ReadonlyMap<DurationName, Histogram>;
type Ask = () => Promise<readonly Reading[]>;

/**
 * Who is asked, by something that stands for it. All of a process together: OpenTelemetry takes the last of several that
 * tell the same metric for the truth.
 */
const asked = new Map<object, Ask>();

/** What those counted who are asked no more: a sum that shrinks would look like a process that began anew. */
let counted: readonly Reading[] = [];

let made: { readonly provider: MeterProvider; readonly histograms: Histograms } | undefined;

/** Has OpenTelemetry ask from now on. @param key replaces what was told for it before */
export function tellOpenTelemetry(key: object, ask: Ask): void {
  asked.set(key, ask);
  openTelemetryHistograms();
}

/**
 * Has OpenTelemetry ask no more, and keep what was counted until then.
 * @param last counters alone; nothing without `key`
 * @returns whether it keeps them
 */
export function keepCounts(key: object, last: readonly Reading[]): boolean {
  const isKept = asked.delete(key);
  if (isKept) counted = joined([...counted, ...last]);
  return isKept;
}

/** Of the SDK that is set up now: those who come before it are given something that does nothing. */
export function openTelemetryHistograms(): Histograms {
  const provider = metrics.getMeterProvider();
  if (made?.provider !== provider) made = { provider, histograms: instrumentsOf(provider) };
  return made.histograms;
}

function instrumentsOf(provider: MeterProvider): Histograms {
  const meter = provider.getMeter('svc-comm');
  const histograms = new Map<DurationName, Histogram>();
  const observables = new Map<MetricName, Observable>();
  for (const [key, metric] of Object.entries(METRICS) as [MetricName, Metric][]) {
    const options = { unit: metric.unit, description: metric.description };
    if (metric.kind === 'histogram') {
      const advice = { explicitBucketBoundaries: [...BUCKETS] };
      histograms.set(key as DurationName, meter.createHistogram(key, { ...options, advice }));
    } else if (metric.kind === 'counter') observables.set(key, meter.createObservableCounter(key, options));
    else observables.set(key, meter.createObservableGauge(key, options));
  }
  const tell = async (result: BatchObservableResult) => {
    const told = await Promise.all([...asked.values()].map((ask) => ask()));
    for (const { name, labels, value } of joined([...counted, ...told.flat()])) {
      const observable = observables.get(name);
      if (observable) result.observe(observable, value, labels);
    }
  };
  meter.addBatchObservableCallback(tell, [...observables.values()]);
  return histograms;
}

import { type BatchObservableResult, type Histogram, metrics, type Observable } from '@opentelemetry/api';
import { once } from '../util/once.ts';
import { hasOpenTelemetry } from '../util/open-telemetry.ts';
import { quietly } from '../util/quietly.ts';
import {
  BUCKETS,
  type DurationName,
  type Labels,
  METRICS,
  type Metric,
  type MetricName,
  type Reading,
  type Source,
} from './metrics.ts';
import type { PrometheusPage } from './prometheus.ts';

/** How long a scrape waits for one source: a server that is down must not hold up what the others know. */
const SOURCE_MS = 2_000;

/** What the process tells of itself, to OpenTelemetry when it is set up, and to Prometheus when that asks. */
export class Meters {
  readonly #sources = new Set<Source>();
  #page: Promise<PrometheusPage> | undefined;
  #histograms: PrometheusPage | undefined;

  /** Adds what a part knows, for as long as the service lives. */
  add(source: Source): void {
    this.#sources.add(source);
    if (hasOpenTelemetry()) this.#openTelemetry();
  }

  /** Whether anybody would hear of a duration. */
  get isRecording(): boolean {
    return this.#histograms !== undefined || hasOpenTelemetry();
  }

  /** @param seconds how long it took */
  record(name: DurationName, seconds: number, labels: Labels): void {
    if (hasOpenTelemetry()) quietly(() => this.#openTelemetry().get(name)?.record(seconds, labels));
    this.#histograms?.record(name, seconds, labels);
  }

  /**
   * All metrics as Prometheus reads them, text format 0.0.4. Durations are kept from the first call on.
   * @param withProcess those of the process too: CPU, memory, event loop, garbage collection
   */
  async prometheus({ withProcess = false } = {}): Promise<string> {
    const page = await this.#prometheusPage();
    return page.text(await this.#readings(), withProcess);
  }

  /** Keeps durations from now on. */
  async keepDurations(): Promise<void> {
    await this.#prometheusPage();
  }

  #prometheusPage(): Promise<PrometheusPage> {
    // Loaded when it is asked for: most processes of a fleet are told of through OpenTelemetry, or not at all.
    this.#page ??= import('./prometheus.ts').then(({ PrometheusPage }) => {
      this.#histograms = new PrometheusPage();
      return this.#histograms;
    });
    return this.#page;
  }

  /** Parts of one kind are added up: two consumers of a queue are one series. */
  async #readings(): Promise<Reading[]> {
    const told = await Promise.all([...this.#sources].map((source) => within(source)));
    const sums = new Map<string, Reading>();
    for (const reading of told.flat()) {
      const { name, labels, value } = reading;
      const key = JSON.stringify([name, labels]);
      const known = sums.get(key);
      sums.set(key, known && METRICS[name].kind === 'counter' ? { name, labels, value: known.value + value } : reading);
    }
    return [...sums.values()];
  }

  /** Made at the first use: OpenTelemetry gives those who come before its SDK something that does nothing. */
  readonly #openTelemetry = once((): ReadonlyMap<DurationName, Histogram> => {
    const meter = metrics.getMeter('svc-comm');
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
      for (const { name, labels, value } of await this.#readings()) {
        const observable = observables.get(name);
        if (observable) result.observe(observable, value, labels);
      }
    };
    meter.addBatchObservableCallback(tell, [...observables.values()]);
    return histograms;
  });
}

async function within(source: Source): Promise<readonly Reading[]> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<readonly Reading[]>((resolve) => {
    timer = setTimeout(resolve, SOURCE_MS, []);
  });
  try {
    return await Promise.race([source(), tooLong]);
  } catch {
    return [];
  } finally {
    clearTimeout(timer);
  }
}

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import {
  BUCKETS,
  type DurationName,
  type Labels,
  METRICS,
  type Metric,
  type MetricName,
  prometheusLabel,
  prometheusName,
  type Reading,
} from './metrics.ts';

/** The metrics of one service as Prometheus reads them. It has a registry of its own: the project's is left alone. */
export class PrometheusPage {
  readonly #registry = new Registry();
  readonly #process = new Registry();
  readonly #counters = new Map<MetricName, Counter>();
  readonly #gauges = new Map<MetricName, Gauge>();
  readonly #histograms = new Map<MetricName, Histogram>();
  #hasProcess = false;

  constructor() {
    for (const [key, metric] of Object.entries(METRICS) as [MetricName, Metric][]) {
      const options = {
        name: prometheusName(key),
        help: metric.description,
        labelNames: metric.attributes.map(prometheusLabel),
        registers: [this.#registry],
      };
      if (metric.kind === 'counter') this.#counters.set(key, new Counter(options));
      else if (metric.kind === 'gauge') this.#gauges.set(key, new Gauge(options));
      else this.#histograms.set(key, new Histogram({ ...options, buckets: [...BUCKETS] }));
    }
  }

  record(name: DurationName, seconds: number, labels: Labels): void {
    this.#histograms.get(name)?.observe(renamed(labels), seconds);
  }

  async text(readings: readonly Reading[], withProcess: boolean): Promise<string> {
    // What was told last time and is not any more (a server that is down) must not stand as if it were, nor as a zero.
    for (const metric of [...this.#counters.values(), ...this.#gauges.values()]) {
      metric.reset();
      metric.remove({});
    }
    for (const { name, labels, value } of readings) {
      this.#counters.get(name)?.inc(renamed(labels), value);
      this.#gauges.get(name)?.set(renamed(labels), value);
    }
    const own = await this.#registry.metrics();
    return withProcess ? `${own}\n${await this.#ofProcess()}` : own;
  }

  #ofProcess(): Promise<string> {
    if (!this.#hasProcess) collectDefaultMetrics({ register: this.#process });
    this.#hasProcess = true;
    return this.#process.metrics();
  }
}

const renamed = (labels: Labels): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).map(([name, value]) => [prometheusLabel(name), value]));

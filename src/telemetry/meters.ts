import { hasOpenTelemetry } from '../util/open-telemetry.ts';
import { quietly } from '../util/quietly.ts';
import { asked } from './asked.ts';
import { Bounded } from './bounded.ts';
import { joined } from './joined.ts';
import { type DurationName, type Labels, METRICS, type Reading, type Source } from './metrics.ts';
import { keepCounts, openTelemetryHistograms, tellOpenTelemetry } from './open-telemetry-meter.ts';
import type { PrometheusPage } from './prometheus.ts';

/** What a service tells of itself, to OpenTelemetry when it is set up, and to Prometheus when that asks. */
export class Meters {
  readonly #sources: (() => Promise<readonly Reading[]>)[] = [];
  readonly #bounded = new Bounded();
  /** Stands for this service at OpenTelemetry, which lives longer. */
  readonly #key = {};
  #page: Promise<PrometheusPage> | undefined;
  #histograms: PrometheusPage | undefined;

  /** Adds what a part knows, for as long as the service lives. */
  add(source: Source): void {
    this.#sources.push(asked(source));
    if (hasOpenTelemetry()) quietly(() => tellOpenTelemetry(this.#key, () => this.#readings()));
  }

  /** Whether anybody would hear of a duration. */
  get isRecording(): boolean {
    return this.#histograms !== undefined || hasOpenTelemetry();
  }

  /** @param seconds how long it took */
  record(name: DurationName, seconds: number, given: Labels): void {
    const labels = this.#bounded.labels(given);
    if (hasOpenTelemetry()) quietly(() => openTelemetryHistograms().get(name)?.record(seconds, labels));
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

  /** OpenTelemetry asks no more. What was counted stays, in one place for all services that were closed. */
  async close(): Promise<void> {
    if (!hasOpenTelemetry()) return;
    const counted = (await this.#readings()).filter(({ name, value }) => METRICS[name].kind === 'counter' && value > 0);
    quietly(() => keepCounts(this.#key, counted));
  }

  #prometheusPage(): Promise<PrometheusPage> {
    // Loaded when it is asked for: most processes of a fleet are told of through OpenTelemetry, or not at all.
    this.#page ??= import('./prometheus.ts').then(({ PrometheusPage }) => {
      this.#histograms = new PrometheusPage();
      return this.#histograms;
    });
    return this.#page;
  }

  async #readings(): Promise<Reading[]> {
    return joined((await Promise.all(this.#sources.map((ask) => ask()))).flat());
  }
}

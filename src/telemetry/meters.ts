import type { Service } from '../lifecycle/service.ts';
import { hasOpenTelemetry } from '../util/open-telemetry.ts';
import { quietly } from '../util/quietly.ts';
import { asked } from './asked.ts';
import { Bounded } from './bounded.ts';
import { joined } from './joined.ts';
import { type DurationName, type Labels, METRICS, type Reading, type Source } from './metrics.ts';
import { keepCounts, openTelemetryHistograms, tellOpenTelemetry } from './open-telemetry-meter.ts';
import type { PrometheusPage } from './prometheus.ts';

/** What a role tells of itself. */
export interface RoleMetrics {
  /** What it has counted since it was made, and what it has in hand. */
  readonly counts: () => readonly Reading[];
  /** What it asks servers for: no counters. @default nothing */
  readonly source?: Source;
}

interface Entered extends Pick<RoleMetrics, 'counts'> {
  readonly asks: readonly (() => Promise<readonly Reading[]>)[];
}

/** What a service tells of itself, to OpenTelemetry when it is set up, and to Prometheus when that asks. */
export class Meters {
  readonly #sources: (() => Promise<readonly Reading[]>)[] = [];
  readonly #roles = new Map<Pick<Service, 'state'>, Entered>();
  /** What roles counted that are asked no more: all together, and each for when it is started again. */
  #counted: readonly Reading[] = [];
  readonly #countedOf = new WeakMap<object, readonly Reading[]>();
  /** What OpenTelemetry keeps of before a close: the service may be used again. */
  #kept: readonly Reading[] = [];
  readonly #bounded = new Bounded();
  /** Stands for this service at OpenTelemetry, which lives longer. */
  readonly #key = {};
  #page: Promise<PrometheusPage> | undefined;
  #histograms: PrometheusPage | undefined;

  /** Adds what a part knows, for as long as the service lives. */
  add(source: Source): void {
    this.#sources.push(asked(source));
    this.#tellOpenTelemetry();
  }

  /**
   * Adds what a role knows, at each of its starts. Roles that have stopped by then are asked no more: whoever makes another
   * after each failure would have all of them asked for ever. What they counted stays counted.
   */
  enter(role: Pick<Service, 'state'>, { counts, source }: RoleMetrics): void {
    for (const [other, { counts: last }] of this.#roles) {
      if (other !== role && other.state === 'idle') this.#leave(other, last());
    }
    if (!this.#roles.has(role)) {
      this.#counted = without(this.#counted, this.#countedOf.get(role) ?? []);
      this.#roles.set(role, { counts, asks: [asked(async () => counts()), ...(source ? [asked(source)] : [])] });
    }
    this.#tellOpenTelemetry();
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
    const counted = (await this.#untold()).filter(isCounted);
    quietly(() => {
      if (keepCounts(this.#key, counted)) this.#kept = joined([...this.#kept, ...counted]);
    });
  }

  #prometheusPage(): Promise<PrometheusPage> {
    // Loaded when it is asked for: most processes of a fleet are told of through OpenTelemetry, or not at all.
    this.#page ??= import('./prometheus.ts').then(({ PrometheusPage }) => {
      this.#histograms = new PrometheusPage();
      return this.#histograms;
    });
    return this.#page;
  }

  #leave(role: Pick<Service, 'state'>, last: readonly Reading[]): void {
    const counted = last.filter(isCounted);
    this.#roles.delete(role);
    this.#countedOf.set(role, counted);
    this.#counted = joined([...this.#counted, ...counted]);
  }

  #tellOpenTelemetry(): void {
    if (hasOpenTelemetry()) quietly(() => tellOpenTelemetry(this.#key, () => this.#untold()));
  }

  async #untold(): Promise<Reading[]> {
    return without(await this.#readings(), this.#kept);
  }

  async #readings(): Promise<Reading[]> {
    const asks = [...this.#sources, ...[...this.#roles.values()].flatMap((role) => role.asks)];
    const counted = this.#counted;
    return joined([...counted, ...(await Promise.all(asks.map((ask) => ask()))).flat()]);
  }
}

const without = (readings: readonly Reading[], counted: readonly Reading[]): Reading[] =>
  joined([...readings, ...counted.map((reading) => ({ ...reading, value: -reading.value }))]);

const isCounted = ({ name, value }: Reading): boolean => METRICS[name].kind === 'counter' && value > 0;

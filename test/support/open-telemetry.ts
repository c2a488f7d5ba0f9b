import { context, metrics, propagation, type Span, trace } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node';
import { until } from './consumer-kit.ts';

/** OpenTelemetry as a project sets it up, but for where it goes: spans and metrics stay here. */
export class OpenTelemetry {
  readonly #spans = new InMemorySpanExporter();
  readonly #metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  readonly #tracers: NodeTracerProvider;
  readonly #meters: MeterProvider;
  readonly #reader: PeriodicExportingMetricReader;

  constructor() {
    this.#tracers = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.#spans)] });
    this.#tracers.register();
    this.#reader = new PeriodicExportingMetricReader({ exporter: this.#metrics, exportIntervalMillis: 3_600_000 });
    this.#meters = new MeterProvider({ readers: [this.#reader] });
    metrics.setGlobalMeterProvider(this.#meters);
  }

  get spans(): readonly ReadableSpan[] {
    return this.#spans.getFinishedSpans();
  }

  /** Those of a trace, those that began first coming first. */
  ofTrace(traceId: string): ReadableSpan[] {
    const found = this.spans.filter((span) => span.spanContext().traceId === traceId);
    return found.toSorted((a, b) => startOf(a) - startOf(b));
  }

  /** Waits for a span to have ended. */
  async span(name: string, matches: (span: ReadableSpan) => boolean = () => true): Promise<ReadableSpan> {
    let found: ReadableSpan | undefined;
    await until(() => {
      found = this.spans.find((span) => span.name === name && matches(span));
      return found !== undefined;
    });
    return found as ReadableSpan;
  }

  /** Runs work in a span of the project's own. */
  async within<T>(name: string, work: (span: Span) => Promise<T>): Promise<T> {
    return trace.getTracer('project').startActiveSpan(name, async (span) => {
      try {
        return await work(span);
      } finally {
        span.end();
      }
    });
  }

  /** Values of a metric, by its attributes as JSON. */
  async metric(name: string): Promise<ReadonlyMap<string, unknown>> {
    this.#metrics.reset();
    await this.#reader.forceFlush();
    const [collected] = this.#metrics.getMetrics();
    const scope = collected?.scopeMetrics.find((one) => one.scope.name === 'svc-comm');
    const found = scope?.metrics.find(({ descriptor }) => descriptor.name === name);
    return new Map(found?.dataPoints.map(({ attributes, value }) => [JSON.stringify(attributes), value]));
  }

  async stop(): Promise<void> {
    await this.#tracers.shutdown();
    await this.#meters.shutdown();
    trace.disable();
    metrics.disable();
    propagation.disable();
    context.disable();
  }
}

const startOf = ({ startTime: [seconds, nanoseconds] }: ReadableSpan): number => seconds * 1e9 + nanoseconds;

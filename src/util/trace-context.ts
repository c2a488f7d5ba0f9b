import {
  type Context,
  context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  type TextMapGetter,
  trace,
} from '@opentelemetry/api';
import { currentCorrelation, traceparentOf } from './correlation.ts';
import { hasOpenTelemetry } from './open-telemetry.ts';
import { quietly } from './quietly.ts';

/**
 * What a message or request carries of the trace that the code runs in: what OpenTelemetry's propagator of this process
 * writes of its active span; without a span the `traceparent` of the correlation (W3C Trace Context, level 1).
 * @returns headers by name; undefined when there are none
 */
export function traceHeaders(): Record<string, string> | undefined {
  const traceparent = currentCorrelation()?.traceparent;
  if (!hasOpenTelemetry()) return traceparent === undefined ? undefined : { traceparent };
  const active = context.active();
  const headers: Record<string, string> = {};
  quietly(() => propagation.inject(active, headers));
  if (traceparent !== undefined && !hasSpan(active)) headers.traceparent = traceparent;
  for (const _ in headers) return headers;
  return undefined;
}

/** What a span that begins here belongs under: the active one, else the trace of the correlation. */
export function activeTrace(): Context {
  const active = context.active();
  if (hasSpan(active)) return active;
  return traceOfParent(currentCorrelation()?.traceparent) ?? active;
}

/** The trace that the code runs in, for what has room for one text only: whatever the propagator writes, this is ours. */
export function currentTraceparent(): string | undefined {
  const span = hasOpenTelemetry() ? trace.getSpanContext(context.active()) : undefined;
  if (!span || !isSpanContextValid(span)) return currentCorrelation()?.traceparent;
  return `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, '0')}`;
}

/** What `currentTraceparent` has written, or a header that is one. @returns undefined as `traceOf` */
export function traceOfParent(traceparent: string | undefined): Context | undefined {
  if (!hasOpenTelemetry() || traceparentOf(traceparent) === undefined) return undefined;
  const [, traceId = '', spanId = '', flags = ''] = (traceparent as string).split('-');
  const span = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return trace.setSpanContext(ROOT_CONTEXT, span);
}

/**
 * The trace that headers tell of, as OpenTelemetry's propagator of this process reads them.
 * @returns undefined when they tell of none, or nobody has set up OpenTelemetry
 */
export function traceOf(headers: object): Context | undefined {
  if (!hasOpenTelemetry()) return undefined;
  // What leads here may be a callback of a socket, which was opened in somebody's span.
  const found = quietly(() => propagation.extract(ROOT_CONTEXT, headers, GETTER));
  return found === ROOT_CONTEXT ? undefined : found;
}

/** The id of the trace that headers tell of, as `currentTraceId`. */
export function traceIdOf(headers: object): string | undefined {
  const found = traceOf(headers);
  const span = found && trace.getSpanContext(found);
  if (span && isSpanContextValid(span)) return span.traceId;
  return 'traceparent' in headers ? traceparentOf(headers.traceparent)?.split('-')[1] : undefined;
}

/** Runs `fn` in the trace of a `traceparent`; as it is when there is none. */
export function withTrace<T>(traceparent: string | undefined, fn: () => T): T {
  const found = traceOfParent(traceparent);
  return found ? context.with(found, fn) : fn();
}

/** The id of the trace that the code runs in, 32 hexadecimal digits: for logs. */
export function currentTraceId(): string | undefined {
  const active = hasOpenTelemetry() ? trace.getSpanContext(context.active()) : undefined;
  if (active && isSpanContextValid(active)) return active.traceId;
  return currentCorrelation()?.traceparent?.split('-')[1];
}

function hasSpan(active: Context): boolean {
  const span = trace.getSpanContext(active);
  return span !== undefined && isSpanContextValid(span);
}

/** Headers of AMQP may be anything; of a trace they are texts. */
const GETTER: TextMapGetter<object> = {
  keys: (headers) => Object.keys(headers),
  get(headers, name) {
    const value: unknown = Object.hasOwn(headers, name) ? (headers as Record<string, unknown>)[name] : undefined;
    return typeof value === 'string' ? value : undefined;
  },
};

import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { Incoming, Verdict } from '../message/handler.ts';
import type { Message, MessageProperties } from '../message/message.ts';
import { currentCorrelation } from '../util/correlation.ts';
import { errorType } from '../util/error-type.ts';
import { hasOpenTelemetry } from '../util/open-telemetry.ts';
import { quietly } from '../util/quietly.ts';
import { activeTrace, currentTraceparent, traceOf, traceOfParent } from '../util/trace-context.ts';
import type { Meters } from './meters.ts';
import { inProcessSpan, type TracedProcess, type WorkEnd } from './process-span.ts';
import { endSpan, failureOf, outcomeOf, whenDone } from './span-ends.ts';

/**
 * What is done with a message. `create`: it is in a transaction, and a relay sends it; `send`: it goes to the broker now;
 * `call`: the same, and its answer is waited for.
 */
export type SendOperation = 'create' | 'send' | 'call';

export interface Destination {
  readonly exchange: string;
  readonly routingKey: string;
}

/** Says which message it has become, and of which conversation, where that is not the one that the code is in. */
export type Tell = (messageId: string, correlationId?: string) => void;

const IGNORE: Tell = () => undefined;

/** The run of a handler, as it is told of. */
export interface HandlingTrace {
  /** Runs it so that what it does belongs to the trace. */
  within<T>(run: () => T): T;
  end(verdict: Verdict): void;
}

export interface TracedTask {
  readonly id: string;
  readonly name: string;
  readonly attempt: number;
  /** Of whoever submitted it. */
  readonly traceparent: string | undefined;
}

export interface TelemetryOptions {
  /** Whether spans are made; false: something else makes them, and traces are passed on all the same. @default true */
  readonly spans?: boolean;
  /** Keeps how long things took. @default nobody */
  readonly meters?: Pick<Meters, 'isRecording' | 'record'>;
}

/**
 * Tells of what is sent, relayed, handled and run: spans for the OpenTelemetry that the process has set up, durations for
 * metrics. Without an OpenTelemetry next to nothing is done. Names are those of its conventions for messaging and for
 * RabbitMQ (https://opentelemetry.io/docs/specs/semconv/messaging/), which are not stable yet.
 */
export class Telemetry {
  readonly #tracer: Tracer | undefined;
  readonly #meters: TelemetryOptions['meters'];

  constructor({ spans = true, meters }: TelemetryOptions = {}) {
    this.#tracer = spans ? trace.getTracer('svc-comm') : undefined;
    this.#meters = meters;
  }

  /** Runs `work`, which makes a message and perhaps sends it, in a span; it is the one that the message carries. */
  sending<T>(operation: SendOperation, destination: Destination, work: (tell: Tell) => T): T {
    if (operation === 'create' || !this.#meters?.isRecording) return this.#inSpan(operation, destination, work);
    const beganMs = performance.now();
    const done = (error?: unknown) =>
      this.#meters?.record('messaging.client.operation.duration', secondsSince(beganMs), {
        'messaging.operation.name': operation,
        'messaging.destination.name': nameOf(destination.exchange, destination.routingKey),
        ...(error === undefined ? {} : { 'error.type': errorType(error) }),
      });
    return whenDone(() => this.#inSpan(operation, destination, work), done);
  }

  #inSpan<T>(operation: SendOperation, { exchange, routingKey }: Destination, work: (tell: Tell) => T): T {
    if (!this.#tracer || !hasOpenTelemetry()) return work(IGNORE);
    const base = activeTrace();
    // Of a call the answer is waited for; what others do with the rest is not.
    const kind = operation === 'call' ? SpanKind.CLIENT : SpanKind.PRODUCER;
    const attributes = {
      ...messaging(operation, operation === 'create' ? 'create' : 'send', exchange, routingKey),
      ...conversation(currentCorrelation()?.correlationId),
    };
    const span = this.#span(`${operation} ${nameOf(exchange, routingKey)}`, { kind, attributes }, base);
    if (!isTraced(span)) return work(IGNORE);
    const tell: Tell = (messageId, correlationId) =>
      quietly(() => span.setAttributes({ [MESSAGE_ID]: messageId, ...conversation(correlationId) }));
    return context.with(trace.setSpan(base, span), () =>
      whenDone(
        () => work(tell),
        (error) => endSpan(span, error),
      ),
    );
  }

  /**
   * A span from now to the broker's answer, for a message that carries the trace of whoever made it.
   * @returns what ends it; undefined when nobody looks
   */
  relaying(message: Message): ((error?: Error) => void) | undefined {
    const { exchange, routingKey, body, properties } = message;
    const origin = this.#tracer && properties.headers && traceOf(properties.headers);
    if (!origin) return undefined;
    const attributes = { ...messaging('send', 'send', exchange, routingKey), ...ofMessage(properties, body) };
    // Not PRODUCER: the span that the message carries made it.
    const span = this.#span(`send ${nameOf(exchange, routingKey)}`, { kind: SpanKind.CLIENT, attributes }, origin);
    return span && ((error) => endSpan(span, error));
  }

  /**
   * The run of a handler: a span below the one that the message carries, and how long it took.
   * @param handler its name
   * @returns undefined when nobody looks
   */
  handling(incoming: Incoming, handler: string): HandlingTrace | undefined {
    if (!hasOpenTelemetry() && !this.#meters?.isRecording) return undefined;
    const beganMs = performance.now();
    const { properties, queue } = incoming.delivery;
    const origin = properties.headers && traceOf(properties.headers);
    // The context of the callback that led here may be that of a span in which somebody opened the connection.
    const span = this.#handlingSpan(incoming, handler, origin ?? ROOT_CONTEXT);
    const within = span ? trace.setSpan(origin ?? ROOT_CONTEXT, span) : origin;
    return {
      within: (run) => (within ? context.with(within, run) : run()),
      end: (verdict) => {
        const error = failureOf(verdict);
        this.#meters?.record('messaging.process.duration', secondsSince(beganMs), {
          'messaging.consumer.group.name': queue,
          'svc_comm.handler': handler,
          'svc_comm.outcome': outcomeOf(verdict),
          ...(error === undefined ? {} : { 'error.type': errorType(error) }),
        });
        if (!span) return;
        quietly(() => {
          span.setAttribute('svc_comm.outcome', outcomeOf(verdict));
          if (verdict.kind === 'dead') span.setAttribute('svc_comm.dead_letter.reason', verdict.reason);
        });
        endSpan(span, error);
      },
    };
  }

  #handlingSpan(incoming: Incoming, handler: string, base: Context): Span | undefined {
    const { delivery, exchange, routingKey, attempt } = incoming;
    const { properties, queue, body } = delivery;
    if (!hasOpenTelemetry()) return undefined;
    const span = this.#span(
      `process ${nameOf(exchange, routingKey)}`,
      {
        kind: SpanKind.CONSUMER,
        attributes: {
          ...messaging('process', 'process', exchange, routingKey),
          'messaging.consumer.group.name': queue,
          ...ofMessage(properties, body),
          'svc_comm.handler': handler,
          'svc_comm.attempt': attempt,
        },
      },
      base,
    );
    return isTraced(span) ? span : undefined;
  }

  /**
   * The run of a task: a span below that of whoever submitted it, and how long it took.
   * @param run gets the `traceparent` that its process goes on with
   * @param stateOf how it ended; undefined: it was lost
   */
  async running<T>(
    task: TracedTask,
    run: (traceparent: string | undefined) => Promise<T>,
    stateOf: (outcome: T) => string | undefined,
  ): Promise<T> {
    const { id, name, attempt, traceparent } = task;
    const beganMs = performance.now();
    const base = traceOfParent(traceparent) ?? ROOT_CONTEXT;
    const attributes = { 'svc_comm.task.name': name, 'svc_comm.task.id': id, 'svc_comm.attempt': attempt };
    const span = this.#span(`run ${name}`, { kind: SpanKind.CONSUMER, attributes }, base);
    const outcome = isTraced(span)
      ? await context.with(trace.setSpan(base, span), () => run(currentTraceparent()))
      : await run(traceparent);
    const state = stateOf(outcome) ?? 'LOST';
    quietly(() => {
      span?.setAttribute('svc_comm.task.state', state);
      if (state !== 'SUCCESS') span?.setStatus({ code: SpanStatusCode.ERROR, message: state });
    });
    quietly(() => span?.end());
    const labels = { 'svc_comm.task.name': name, 'svc_comm.task.state': state };
    this.#meters?.record('svc_comm.task.duration', secondsSince(beganMs), labels);
    return outcome;
  }

  /** Work for an instance of a business process, in a span below the active one; what it does is below that. */
  processing<T>(traced: TracedProcess, work: () => Promise<T>, endOf: (outcome: T) => WorkEnd): Promise<T> {
    return this.#tracer && hasOpenTelemetry() ? inProcessSpan(this.#tracer, traced, work, endOf) : work();
  }

  #span(name: string, options: SpanOptions, base: Context): Span | undefined {
    return quietly(() => this.#tracer?.startSpan(name, options, base));
  }
}

const secondsSince = (beganMs: number): number => (performance.now() - beganMs) / 1000;

/** Without an OpenTelemetry, or without a trace to pass on, spans have no ids. */
const isTraced = (span: Span | undefined): span is Span => span !== undefined && isSpanContextValid(span.spanContext());

const MESSAGE_ID = 'messaging.message.id';

const conversation = (correlationId: string | undefined): Attributes =>
  correlationId === undefined ? {} : { 'messaging.message.conversation_id': correlationId };

/** The default exchange has no name: what goes there goes to the queue that its routing key names. */
const nameOf = (exchange: string, routingKey: string): string => exchange || routingKey;

const messaging = (name: string, type: string, exchange: string, routingKey: string): Attributes => ({
  'messaging.system': 'rabbitmq',
  'messaging.operation.name': name,
  'messaging.operation.type': type,
  'messaging.destination.name': nameOf(exchange, routingKey),
  'messaging.rabbitmq.destination.routing_key': routingKey,
});

function ofMessage({ messageId, correlationId }: MessageProperties, body: Uint8Array): Attributes {
  return {
    ...(messageId === undefined ? {} : { [MESSAGE_ID]: messageId }),
    ...conversation(correlationId),
    'messaging.message.body.size': body.byteLength,
  };
}

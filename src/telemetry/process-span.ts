import { context, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import { maskUrl } from '../util/mask.ts';
import { quietly } from '../util/quietly.ts';
import { activeTrace } from '../util/trace-context.ts';
import { endSpan } from './span-ends.ts';

/** Work for an instance of a business process, as it is told of. */
export interface TracedProcess {
  readonly process: string;
  readonly instanceId: string;
  /** A synchronous task of it. @default all that creates the instance */
  readonly step?: string;
}

/** How it has ended. */
export interface WorkEnd {
  readonly state: string;
  /** Why it did not succeed. */
  readonly failure?:
    | { readonly name: string; readonly message: string; readonly code?: string | undefined }
    | undefined;
}

/** Asynchronous tasks run elsewhere: these are told of by whoever runs them, with the same names. */
export function inProcessSpan<T>(
  tracer: Tracer,
  { process, instanceId, step }: TracedProcess,
  work: () => Promise<T>,
  endOf: (outcome: T) => WorkEnd,
): Promise<T> {
  const name = step === undefined ? process : `${process}.${step}`;
  const attributes = {
    'svc_comm.process.id': process,
    'svc_comm.process.instance': instanceId,
    ...(step === undefined ? {} : { 'svc_comm.task.name': name }),
  };
  const base = activeTrace();
  const span = quietly(() => tracer.startSpan(`run ${name}`, { kind: SpanKind.INTERNAL, attributes }, base));
  if (!span) return work();
  const tell = (outcome: T): void => {
    const { state, failure } = endOf(outcome);
    span.setAttribute(step === undefined ? 'svc_comm.process.state' : 'svc_comm.task.state', state);
    if (!failure) return;
    span.setAttribute('error.type', failure.code ?? failure.name);
    span.setStatus({ code: SpanStatusCode.ERROR, message: maskUrl(failure.message) });
  };
  return context.with(trace.setSpan(base, span), async () => {
    try {
      const outcome = await work();
      quietly(() => tell(outcome));
      endSpan(span);
      return outcome;
    } catch (error) {
      endSpan(span, error);
      throw error;
    }
  });
}

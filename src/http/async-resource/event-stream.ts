import { once } from 'node:events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isFinal, type TaskEvent } from '../../task/state.ts';

/** Proxies close what is silent for a minute; a comment is no event (HTML standard, server-sent events). */
const PING_MS = 15_000;

export interface StreamOptions {
  readonly events: AsyncIterable<TaskEvent>;
  /** The data of an event. */
  readonly dataOf: (event: TaskEvent) => object;
  /** Ends the stream. */
  readonly until: AbortSignal;
}

/** Whether `Accept` names it, and not with the weight 0 of what is not acceptable (RFC 9110 §12.4.2). */
export const wantsEvents = ({ headers }: FastifyRequest): boolean =>
  (headers.accept ?? '').split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    return type === 'text/event-stream' && !parameters.some((parameter) => /^q\s*=\s*0(\.0*)?$/.test(parameter));
  });

/** The last event's id of a client that comes again by itself: when that was the end, there is nothing more to tell. */
export const hasSeenTheEnd = ({ headers }: FastifyRequest): boolean => headers['last-event-id'] === 'end';

/**
 * Sends what becomes of a task until it has ended, the client is gone, or the server closes. A client that reads slowly
 * gets fewer reports of progress: nothing is heaped up for it.
 */
export async function streamEvents(reply: FastifyReply, { events, dataOf, until }: StreamOptions): Promise<void> {
  const { raw } = reply;
  const headers = reply.getHeaders();
  reply.hijack();
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) raw.setHeader(name, value);
  raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  const ping = setInterval(() => {
    // Behind what a client does not read it would only be heaped up, and count as traffic.
    if (!raw.writableNeedDrain) raw.write(':\n\n');
  }, PING_MS);
  try {
    for await (const event of events) {
      const isEnd = event.kind === 'state' && isFinal(event.state);
      const id = isEnd ? 'id: end\n' : '';
      const isRoom = raw.write(`${id}event: ${event.kind}\ndata: ${JSON.stringify(dataOf(event))}\n\n`);
      if (!isRoom) await once(raw, 'drain', { signal: until });
    }
  } catch (error) {
    if (!until.aborted) reply.log.warn({ err: error, error }, 'a stream of events broke off; the client asks again');
  } finally {
    clearInterval(ping);
    raw.end();
  }
}

import type { FastifyReply } from 'fastify';
import type { TaskRecord } from '../../task/state.ts';
import { wholeNumber } from '../query.ts';

const DEFAULT_LIMIT = 20;
const MOST = 1000;

/**
 * A result as tastypie-async shows it: a text as text, an object as it is, a list in pages, anything else as
 * `{"result": …}`; of a task that failed, why.
 * @param path the result's own, for the addresses of other pages
 * @param query which page: `limit` and `offset`; the first, unless they are given
 */
export function sendResult(
  reply: FastifyReply,
  record: TaskRecord,
  { path, query }: { readonly path: string; readonly query: Readonly<Record<string, unknown>> },
): FastifyReply {
  if (record.state !== 'SUCCESS') return sendJson(reply, { error: errorText(record) });
  const { result = null } = record;
  if (typeof result === 'string') return reply.type('text/plain; charset=utf-8').send(result);
  if (Array.isArray(result)) return sendJson(reply, page(result, path, query));
  return sendJson(reply, typeof result === 'object' && result !== null ? result : { result });
}

const sendJson = (reply: FastifyReply, value: object): FastifyReply =>
  reply.type('application/json; charset=utf-8').send(JSON.stringify(value));

function errorText({ error, state }: TaskRecord): string {
  return error?.message ?? (state === 'TIMEOUT' ? 'timeout' : 'the worker that ran it died');
}

/** `limit=0` asks for as many as may be. */
function page(all: readonly unknown[], path: string, query: Readonly<Record<string, unknown>>): object {
  const asked = wholeNumber(query.limit, 'limit', { fallback: DEFAULT_LIMIT, min: 0 });
  const offset = wholeNumber(query.offset, 'offset', { fallback: 0, min: 0 });
  const limit = asked === 0 ? MOST : Math.min(asked, MOST);
  const at = (from: number): string => `${path}?limit=${limit}&offset=${from}`;
  return {
    meta: {
      limit,
      offset,
      total_count: all.length,
      next: offset + limit < all.length ? at(offset + limit) : null,
      previous: offset > 0 ? at(Math.max(0, offset - limit)) : null,
    },
    objects: all.slice(offset, offset + limit),
  };
}

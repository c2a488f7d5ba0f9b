import type { AmqpFrame, AmqpSession } from './proxy/amqp-session.ts';
import type { Direction, Wire } from './proxy/frame-proxy.ts';
import type { PgFrame, PgSession } from './proxy/pg-session.ts';
import type { Slot } from './slot.ts';

export interface Deliveries {
  /** Given out for the first time. */
  fresh: number;
  /** Given out before, and not acked (the broker's `redelivered`). */
  again: number;
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** Message ids in a frame's text: those of version 7, which is what we send. */
export const idsIn = (frame: PgFrame): string[] => [...new Set(frame.bytes.toString('latin1').match(UUID) ?? [])];

/** What passed on the wires, by message id. */
export class Witness {
  readonly #publishes = new Map<string, number>();
  readonly #deliveries = new Map<string, Deliveries>();
  readonly #methods = new WeakMap<Wire<AmqpSession>, Map<number, AmqpFrame>>();
  readonly #unacked = new WeakMap<Wire<AmqpSession>, Map<number, string>>();
  readonly #acked = new WeakMap<Wire<AmqpSession>, readonly string[]>();
  readonly #marks = new WeakMap<Wire<PgSession>, string>();
  readonly #content = new WeakMap<
    Wire<AmqpSession>,
    Map<number, { readonly method: AmqpFrame; readonly id: string }>
  >();
  readonly #publishedBy = new Map<string, Map<string, number>>();
  readonly #routingKeys = new Map<string, string>();
  /** Outbox ids and the message ids of their rows. */
  readonly #rows = new Map<string, string>();
  readonly #deleting = new WeakMap<Wire<PgSession>, readonly string[]>();
  readonly #claims = new WeakMap<Wire<PgSession>, string>();
  readonly #inserts = new WeakMap<Wire<PgSession>, readonly string[]>();

  watch(slot: Slot): void {
    for (const proxy of slot.amqp) proxy.watch((frame, direction, wire) => this.#onAmqp(slot, frame, direction, wire));
    slot.pg.watch((frame, _, wire) => this.#onPg(frame, wire));
  }

  publishes(id: string): number {
    return this.#publishes.get(id) ?? 0;
  }

  deliveries(id: string): Deliveries {
    return this.#deliveries.get(id) ?? { fresh: 0, again: 0 };
  }

  /** What the slot's process has published since it was started, and when. */
  publishedBy(slot: Slot): ReadonlyMap<string, number> {
    return this.#publishedBy.get(slot.role?.name ?? '') ?? new Map();
  }

  isPoison(id: string): boolean {
    return this.#routingKeys.get(id) === 'entry.poison';
  }

  /** The message whose content is on the channel now. */
  lastPublished(wire: Wire<AmqpSession>, channel: number): string | undefined {
    const content = this.#content.get(wire)?.get(channel);
    return content?.method.kind === 'basic.publish' ? content.id : undefined;
  }

  lastDelivered(wire: Wire<AmqpSession>, channel: number): string | undefined {
    const content = this.#content.get(wire)?.get(channel);
    return content?.method.kind === 'basic.deliver' ? content.id : undefined;
  }

  /** The messages whose rows are being deleted on this connection. */
  deleting(wire: Wire<PgSession>): readonly string[] {
    return this.#deleting.get(wire) ?? [];
  }

  /** The messages of the last ack that the consumer sent on this connection. */
  acked(wire: Wire<AmqpSession>): readonly string[] {
    return this.#acked.get(wire) ?? [];
  }

  /** The message that was marked as given up in this connection's transaction. */
  marked(wire: Wire<PgSession>): string | undefined {
    return this.#marks.get(wire);
  }

  /** The message whose inbox row was asked for last on this connection. */
  claim(wire: Wire<PgSession>): string | undefined {
    return this.#claims.get(wire);
  }

  /** The events inserted in this connection's transaction. */
  inserted(wire: Wire<PgSession>): readonly string[] {
    return this.#inserts.get(wire) ?? [];
  }

  #onAmqp(slot: Slot, frame: AmqpFrame, direction: Direction, wire: Wire<AmqpSession>): void {
    const { kind, channel, messageId } = frame;
    if (kind === 'content-header' && messageId !== undefined) {
      const method = this.#methods.get(wire)?.get(channel);
      if (method) of(this.#content, wire).set(channel, { method, id: messageId });
      if (method?.kind === 'basic.publish' && slot.kind === 'relay') {
        this.#publishes.set(messageId, this.publishes(messageId) + 1);
        of(this.#publishedBy, slot.role?.name ?? '').set(messageId, performance.now());
      } else if (method?.kind === 'basic.deliver') {
        this.#routingKeys.set(messageId, method.routingKey);
        const { fresh, again } = this.deliveries(messageId);
        const counts = method.redelivered ? { fresh, again: again + 1 } : { fresh: fresh + 1, again };
        this.#deliveries.set(messageId, counts);
        of(this.#unacked, wire).set(method.tag, messageId);
      }
    } else if (kind === 'basic.ack' && direction === 'to-server') {
      const unacked = of(this.#unacked, wire);
      const tags = [...unacked.keys()].filter((tag) => tag === frame.tag || (frame.multiple && tag < frame.tag));
      this.#acked.set(
        wire,
        tags.map((tag) => unacked.get(tag) ?? ''),
      );
      for (const tag of tags) unacked.delete(tag);
    } else if (kind === 'basic.publish' || kind === 'basic.deliver') of(this.#methods, wire).set(channel, frame);
  }

  #onPg(frame: PgFrame, wire: Wire<PgSession>): void {
    if (frame.kind === 'bind' && isClaim(frame.sql)) {
      const [id] = idsIn(frame);
      if (id !== undefined) this.#claims.set(wire, id);
    }
    if (frame.kind === 'bind' && isEnqueue(frame.sql)) this.#inserts.set(wire, idsIn(frame));
    if (frame.kind === 'row' && isRead(frame.sql)) {
      const [id = '', , , messageId = ''] = columns(frame.bytes);
      this.#rows.set(id, messageId);
    }
    if (frame.kind === 'bind' && isDelete(frame.sql)) {
      const [, ids = ''] = /\{([\d,]+)\}/.exec(frame.bytes.toString('latin1')) ?? [];
      this.#deleting.set(
        wire,
        ids.split(',').map((id) => this.#rows.get(id) ?? ''),
      );
    }
    if (frame.kind === 'bind' && isMark(frame.sql)) {
      const [id] = idsIn(frame);
      if (id !== undefined) this.#marks.set(wire, id);
    }
    if (frame.kind === 'query' && frame.sql?.toUpperCase().startsWith('BEGIN')) {
      this.#inserts.delete(wire);
      this.#claims.delete(wire);
      this.#marks.delete(wire);
    }
  }
}

export const isEnqueue = (sql = ''): boolean => sql.includes('INSERT INTO') && sql.includes('svc_comm_outbox');
const isMark = (sql = ''): boolean => sql.includes('svc_comm_inbox') && sql.includes("'dead')");
export const isClaim = (sql = ''): boolean =>
  sql.includes('INSERT INTO') && sql.includes('svc_comm_inbox') && sql.includes("'done'") && !sql.includes('unnest');

export const isRead = (sql = ''): boolean => sql.includes('bytes_before');
export const isDelete = (sql = ''): boolean =>
  sql.trimStart().startsWith('DELETE FROM') && sql.includes('svc_comm_outbox');

/** Of a DataRow in text format. */
function columns(bytes: Buffer): string[] {
  const texts: string[] = [];
  let at = 7;
  for (let i = bytes.readInt16BE(5); i > 0; i--) {
    const length = bytes.readInt32BE(at);
    at += 4;
    texts.push(length < 0 ? '' : bytes.toString('utf8', at, at + length));
    at += Math.max(0, length);
  }
  return texts;
}

function of<W, K, V>(
  maps: { get(wire: W): Map<K, V> | undefined; set(wire: W, map: Map<K, V>): unknown },
  wire: W,
): Map<K, V> {
  let map = maps.get(wire);
  if (!map) {
    map = new Map();
    maps.set(wire, map);
  }
  return map;
}

import type { AmqpFrame, AmqpSession } from './proxy/amqp-session.ts';
import type { Action, Direction, Wire } from './proxy/frame-proxy.ts';
import type { PgFrame, PgSession } from './proxy/pg-session.ts';
import type { SlotKind } from './slot.ts';
import { idsIn, isClaim, isDelete, isEnqueue, isRead, type Witness } from './witness.ts';

/** What a kill caught: the messages at the step. */
export interface Caught {
  readonly ids: readonly string[];
  readonly action: Action;
}

/** What became of one of them, in the end. */
export interface Fate {
  readonly isInOutbox: boolean;
  readonly isCommitted: boolean;
  /** By relays. */
  readonly publishes: number;
  /** Times that a relay was killed which had published it, its row being there still. */
  readonly unsettledAtKills: number;
  /** By the broker since the kill: for the first time, and again. */
  readonly deliveries: { readonly fresh: number; readonly again: number };
  readonly handlerRuns: number;
  readonly effects: number;
  readonly deadCopies: number;
}

export interface Failpoint {
  readonly name: string;
  readonly victim: SlotKind;
  /** The frame that the process is killed at. */
  readonly at: string;
  readonly expects: string;
  /** Whether its messages are poison, on their way to the dead letters. */
  readonly isPoison?: boolean;
  readonly onPg?: (frame: PgFrame, direction: Direction, wire: Wire<PgSession>, witness: Witness) => Caught | undefined;
  readonly onAmqp?: (
    frame: AmqpFrame,
    direction: Direction,
    wire: Wire<AmqpSession>,
    witness: Witness,
  ) => Caught | undefined;
  isAsExpected(fate: Fate): boolean;
}

const caught = (ids: readonly string[] | string | undefined, action: Action): Caught | undefined => {
  const list = typeof ids === 'string' ? [ids] : (ids ?? []);
  return list.length === 0 ? undefined : { ids: list, action };
};
const leavesNothing = (fate: Fate): boolean =>
  !fate.isInOutbox && !fate.isCommitted && fate.publishes === 0 && fate.effects === 0;
const takesEffectOnce = (fate: Fate): boolean => fate.isCommitted && !fate.isInOutbox && fate.effects === 1;
/** One publish, and one more for each relay that died with it in flight. */
const isPublishedAgainAtMost = (fate: Fate): boolean => fate.publishes <= 1 + fate.unsettledAtKills;
const isCommit = (frame: PgFrame): boolean => frame.kind === 'complete' && frame.tag === 'COMMIT';

export const FAILPOINTS: readonly Failpoint[] = [
  {
    name: 'P1',
    victim: 'producer',
    at: 'the insert into the outbox, not passed on',
    expects: 'no row, no message, no effect',
    onPg: (frame) => (frame.kind === 'bind' && isEnqueue(frame.sql) ? caught(idsIn(frame), 'hold-both') : undefined),
    isAsExpected: leavesNothing,
  },
  {
    name: 'P2',
    victim: 'producer',
    at: "the insert's answer, not passed on",
    expects: 'no row, no message, no effect',
    onPg: (frame, _, wire, witness) =>
      frame.kind === 'complete' && isEnqueue(frame.sql) ? caught(witness.inserted(wire), 'hold-both') : undefined,
    isAsExpected: leavesNothing,
  },
  {
    name: 'P3',
    victim: 'producer',
    at: "COMMIT's answer, not passed on",
    expects: 'published, one effect',
    onPg: (frame, _, wire, witness) => (isCommit(frame) ? caught(witness.inserted(wire), 'hold-both') : undefined),
    isAsExpected: takesEffectOnce,
  },
  {
    name: 'R1',
    victim: 'relay',
    at: 'rows that were read, not passed on',
    expects: 'another relay publishes them, once',
    onPg: (frame) => (frame.kind === 'row' && isRead(frame.sql) ? caught(idsIn(frame), 'hold-both') : undefined),
    isAsExpected: (fate) => takesEffectOnce(fate) && fate.publishes === 1 + fate.unsettledAtKills,
  },
  {
    name: 'R2',
    victim: 'relay',
    at: 'a publish, passed on',
    expects: 'published again with the same id, one effect',
    onAmqp: ({ kind, channel }, direction, wire, witness) => {
      if (kind !== 'content-body' || direction !== 'to-server') return undefined;
      return caught(witness.lastPublished(wire, channel), 'last');
    },
    isAsExpected: (fate) => takesEffectOnce(fate) && isPublishedAgainAtMost(fate) && fate.publishes >= 2,
  },
  {
    name: 'R3',
    victim: 'relay',
    at: 'the delete of a confirmed row, not passed on',
    expects: 'published again with the same id, one effect',
    onPg: (frame, _, wire, witness) =>
      frame.kind === 'bind' && isDelete(frame.sql) ? caught(witness.deleting(wire), 'hold-both') : undefined,
    isAsExpected: (fate) => takesEffectOnce(fate) && isPublishedAgainAtMost(fate),
  },
  {
    name: 'R4',
    victim: 'relay',
    at: "the delete's answer, not passed on",
    expects: 'not published again, one effect',
    onPg: (frame, _, wire, witness) =>
      frame.kind === 'complete' && isDelete(frame.sql) ? caught(witness.deleting(wire), 'hold-both') : undefined,
    isAsExpected: (fate) => takesEffectOnce(fate) && isPublishedAgainAtMost(fate),
  },
  {
    name: 'C1',
    victim: 'consumer',
    at: 'the body of a delivery, not passed on',
    expects: 'delivered again, one run, one effect',
    onAmqp: ({ kind, channel }, direction, wire, witness) => {
      if (kind !== 'content-body' || direction !== 'to-client') return undefined;
      return caught(witness.lastDelivered(wire, channel), 'hold-both');
    },
    isAsExpected: (fate) => takesEffectOnce(fate) && fate.deliveries.again >= 1 && fate.handlerRuns === 1,
  },
  {
    name: 'C2',
    victim: 'consumer',
    at: "the inbox row's answer, not passed on",
    expects: 'delivered again, one run, one effect',
    onPg: (frame, _, wire, witness) =>
      frame.kind === 'complete' && isClaim(frame.sql) ? caught(witness.claim(wire), 'hold-both') : undefined,
    isAsExpected: (fate) => takesEffectOnce(fate) && fate.deliveries.again >= 1 && fate.handlerRuns === 1,
  },
  {
    name: 'C3',
    victim: 'consumer',
    at: "the handler's COMMIT, not passed on",
    expects: 'delivered again, run again, one effect',
    onPg: (frame, direction, wire, witness) =>
      direction === 'to-server' && frame.kind === 'query' && frame.sql?.toUpperCase().startsWith('COMMIT') === true
        ? caught(witness.claim(wire), 'hold-both')
        : undefined,
    isAsExpected: (fate) => takesEffectOnce(fate) && fate.deliveries.again >= 1 && fate.handlerRuns === 2,
  },
  {
    name: 'C4',
    victim: 'consumer',
    at: "COMMIT's answer, not passed on",
    expects: 'delivered again, not run again, one effect',
    onPg: (frame, _, wire, witness) => (isCommit(frame) ? caught(witness.claim(wire), 'hold-both') : undefined),
    isAsExpected: (fate) => takesEffectOnce(fate) && fate.deliveries.again >= 1 && fate.handlerRuns === 1,
  },
  {
    name: 'C5',
    victim: 'consumer',
    at: 'the ack, passed on',
    expects: 'not delivered again, one effect',
    onAmqp: ({ kind }, direction, wire, witness) =>
      kind === 'basic.ack' && direction === 'to-server' ? caught(witness.acked(wire), 'last') : undefined,
    isAsExpected: (fate) => takesEffectOnce(fate) && fate.deliveries.again === 0 && fate.handlerRuns === 1,
  },
  {
    name: 'C6',
    victim: 'consumer',
    at: 'the publish to the dead letters, passed on',
    expects: 'delivered again, no effect, one or two copies of one id in the dead letters',
    isPoison: true,
    onAmqp: ({ kind, channel }, direction, wire, witness) => {
      if (kind !== 'content-body' || direction !== 'to-server') return undefined;
      return caught(witness.lastPublished(wire, channel), 'last');
    },
    isAsExpected: ({ effects, deliveries, deadCopies }) =>
      effects === 0 && deliveries.again >= 1 && deadCopies >= 1 && deadCopies <= 2,
  },
  {
    name: 'C6 held',
    victim: 'consumer',
    at: 'the publish to the dead letters, not passed on',
    expects: 'delivered again, no effect, one copy in the dead letters',
    isPoison: true,
    onAmqp: ({ kind, channel }, direction, wire, witness) => {
      if (kind !== 'content-body' || direction !== 'to-server') return undefined;
      return caught(witness.lastPublished(wire, channel), 'hold');
    },
    isAsExpected: ({ effects, deliveries, deadCopies }) => effects === 0 && deliveries.again >= 1 && deadCopies === 1,
  },
  {
    name: 'C7',
    victim: 'consumer',
    at: 'the answer to the mark of a dead letter, not passed on',
    expects: 'delivered again, not run again, no effect, one copy in the dead letters',
    isPoison: true,
    onPg: (frame, _, wire, witness) => (isCommit(frame) ? caught(witness.marked(wire), 'hold-both') : undefined),
    isAsExpected: ({ effects, deliveries, deadCopies, handlerRuns }) =>
      effects === 0 && deliveries.again >= 1 && deadCopies === 1 && handlerRuns === 1,
  },
];

/** The rules of the code that the model keeps to. One at a time is taken away to see that it is needed. */
export interface Rules {
  /** The enqueue locks the key before it draws the id, until the commit. */
  readonly keyLock: boolean;
  /** A row is settled by the broker's confirm, not by being sent. */
  readonly confirm: boolean;
  /** A publish whose confirm did not come is sent again. */
  readonly unknownIsSentAgain: boolean;
  /** At most one unconfirmed message of a key. */
  readonly relayLane: boolean;
  /** The table is read from its start, not from the highest id seen. */
  readonly readFromStart: boolean;
  /** A row that backs off holds back the later ones of its key. */
  readonly backOffHoldsKey: boolean;
  readonly inbox: boolean;
  /** The inbox row commits with the effect. */
  readonly inboxInTransaction: boolean;
  /** The ack comes after the effect. */
  readonly ackAfterEffect: boolean;
  /** Messages of a key are handled one at a time, in order. */
  readonly consumerLane: boolean;
  readonly singleActiveConsumer: boolean;
  /** When a connection is lost, all its deliveries are, before any of a key goes on. */
  readonly loseAllAtOnce: boolean;
  /** A single active consumer that stops gives back in the step in which it leaves. */
  readonly leaveInOneStep: boolean;
}

export const RULES: Rules = Object.freeze({
  keyLock: true,
  confirm: true,
  unknownIsSentAgain: true,
  relayLane: true,
  readFromStart: true,
  backOffHoldsKey: true,
  inbox: true,
  inboxInTransaction: true,
  ackAfterEffect: true,
  consumerLane: true,
  singleActiveConsumer: true,
  loseAllAtOnce: true,
  leaveInOneStep: true,
});

export const RULE_NAMES = Object.keys(RULES) as (keyof Rules)[];

/** Where services tell of themselves: a durable topic exchange. */
export const SERVICES_EXCHANGE = 'svc-comm.services';

/** Names an instance or an asker: a UUID, and so one word of a routing key. */
export const INSTANCE_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Routing keys of the exchange. `docs/services.md` shows what is said by them. */
export const TOPIC = Object.freeze({
  /** Every few seconds, by every instance: it is there, and what it told is still so. */
  beat: 'beat',
  /** What an instance is, to all: when it comes, and when that has changed. */
  announcement: 'announcement',
  /** An instance goes. */
  leave: 'leave',
  /** Somebody asks all instances what they are. */
  ask: 'ask',
  /** To nobody: a broker that is short of memory or disk says so only to those who publish. */
  sounding: 'sounding',
  /** The same as `ask`, of one instance. */
  askOf: (instance: string) => `ask.${instance}`,
  /** An instance's announcement, to one who asked. */
  answerTo: (asker: string) => `announcement.${asker}`,
});

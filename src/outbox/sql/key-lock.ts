/**
 * First number of the advisory locks, `pg_advisory_xact_lock(KEY_LOCK_NAMESPACE, hashtext(key))`: whoever writes rows
 * of a key into the outbox holds it until the commit, so that id order is commit order within the key.
 */
export const KEY_LOCK_NAMESPACE = 0x73_76_63;

/** First number of the lock that lets one relay at a time promote future events. */
export const PROMOTION_LOCK_NAMESPACE = 0x73_76_64;

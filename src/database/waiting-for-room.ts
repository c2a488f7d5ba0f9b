import type { InboxWork } from '../message/inbox.ts';
import { isDiskFull, unavailable } from './database-error.ts';
import { isOurs } from './outage-of-handler.ts';

/**
 * A handler whose own statement finds the disk full has failed as by any outage: all messages do then, and with their
 * attempts counted all would be in the dead letters when there is room again. What it decided itself stays.
 */
export const waitingForRoom =
  <T>(work: InboxWork<T>): InboxWork<T> =>
  async (transaction) => {
    try {
      return await work(transaction);
    } catch (error) {
      throw isDiskFull(error) && !isOurs(error) ? unavailable('', error) : error;
    }
  };

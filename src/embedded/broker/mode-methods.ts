import type { MethodHandlers } from './method-handlers.ts';
import { ProtocolError } from './protocol-error.ts';

/** `channel.flow`, `access.request`, `confirm.*` and `tx.*`. */
export const MODE_METHODS = {
  'channel.flow'(channel, { active }) {
    if (!active) throw new ProtocolError('NOT_IMPLEMENTED', 'active=false');
    channel.reply('channel.flow-ok', { active });
  },

  'access.request'(channel) {
    channel.reply('access.request-ok', { ticket: 1 });
  },

  'confirm.select'(channel, { nowait }) {
    channel.publishing.selectConfirm();
    if (!nowait) channel.reply('confirm.select-ok', {});
  },

  'tx.select'(channel) {
    channel.publishing.selectTransaction();
    channel.reply('tx.select-ok', {});
  },

  'tx.commit'(channel) {
    const { settlements, isPartial } = channel.publishing.commit();
    // What the settling lets through comes after the answer, as in RabbitMQ.
    if (!isPartial) channel.reply('tx.commit-ok', {});
    for (const { taken, verdict } of settlements) channel.relieve(channel.deliveries.settle(taken, verdict));
    // What the client said of deliveries holds all the same, as in RabbitMQ.
    if (isPartial) throw new ProtocolError('PRECONDITION_FAILED', 'partial tx completion');
  },

  'tx.rollback'(channel) {
    channel.deliveries.unacked.restore(channel.publishing.rollback());
    channel.reply('tx.rollback-ok', {});
  },
} as const satisfies MethodHandlers;

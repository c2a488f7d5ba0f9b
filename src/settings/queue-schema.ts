import { z } from 'zod';
import { QUEUE_TYPES } from '../message/topology.ts';
import { DEFAULT_SETTINGS as DEFAULTS } from './defaults.ts';
import { described, isName, wholeNumber } from './leaf.ts';
import { choice, count, flag, json, text } from './phrases.ts';

export const name = () => z.string().refine(isName);
export const NAME = 'a name of 1 to 255 bytes without control characters';

/** The work queue: its name alone is short for an object with it. */
export const queueSchema = described(
  z
    .preprocess(
      (value) => (typeof value === 'string' ? { name: value } : value),
      z.strictObject({
        name: described(name().optional(), { ...text(NAME, 'The work queue’s name'), defaultText: 'the appId' }),
        type: described(
          z.enum(QUEUE_TYPES).prefault(DEFAULTS.queue.type),
          choice(
            QUEUE_TYPES,
            'Quorum queues are replicated and confirm faster; retry queues are of this type too, and a classic one can lose a message whose delay ends as the broker is killed',
          ),
        ),
        singleActiveConsumer: described(
          z.boolean().prefault(DEFAULTS.queue.singleActiveConsumer),
          flag('One process at a time consumes, so that the order of a key holds across processes'),
        ),
        deliveryLimit: described(wholeNumber(-1).optional(), {
          ...count(-1, '`x-delivery-limit` of a quorum queue'),
          defaultText: 'left out below RabbitMQ 4.0, -1 (none) from 4.0',
        }),
        arguments: described(
          z.record(z.string(), z.unknown()).prefault(DEFAULTS.queue.arguments),
          json('an object of queue arguments', 'a queue argument', 'Further arguments, as RabbitMQ names them'),
        ),
      }),
    )
    .prefault({}),
  {
    expected: 'a queue name, or an object with name, type, singleActiveConsumer, deliveryLimit, arguments',
    meaning: 'The work queue: its name, or an object of the following',
    defaultText: 'the appId',
    textForm: 'text-or-json',
  },
);

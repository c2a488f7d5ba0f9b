import { coreTask, membersProblem, textOf } from './core-task.ts';
import { coreServices } from './services.ts';

/** `[event.publish, { args: { aggregate: order, eventType: created, payload: = body } }]` */
export const publishEvent = coreTask(
  { description: 'Publishes an event through the outbox.', needsService: true },
  ([options]) => membersProblem(options, ['aggregate', 'eventType', 'payload'], ['key']),
  async (options) => {
    const event = {
      aggregate: textOf(options, 'aggregate'),
      eventType: textOf(options, 'eventType'),
      payload: options.payload,
      ...(options.key === undefined || options.key === null ? {} : { key: String(options.key) }),
    };
    const { eventId } = await (await coreServices()).publishEvent(event);
    return { eventId };
  },
);

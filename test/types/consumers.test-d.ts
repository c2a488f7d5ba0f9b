import { expectTypeOf } from 'vitest';
import {
  type CallInfo,
  type CallResponseInfo,
  call,
  callConsumer,
  callResponseConsumer,
  commandConsumer,
  type EventInfo,
  eventConsumer,
  type MessageContext,
  MessageRouter,
  rawConsumer,
} from '../../src/index.ts';

// Compiled by `npm run types`, never run. What must be refused stands under @ts-expect-error: it is an error there if
// the line compiles.

interface UserPayload {
  readonly userId: number;
}

const messageRouter = new MessageRouter();

// Free functions: arguments are inferred.
messageRouter.consumer(
  'user',
  'deleted.#',
)(
  eventConsumer(async (payload: UserPayload, event, context) => {
    expectTypeOf(payload).toEqualTypeOf<UserPayload>();
    expectTypeOf(event).toEqualTypeOf<EventInfo>();
    expectTypeOf(event.eventTime).toEqualTypeOf<Date>();
    expectTypeOf(context).toEqualTypeOf<MessageContext>();
  }),
);
messageRouter.consumer(
  'user',
  'a',
)(
  eventConsumer((payload, event) => {
    expectTypeOf(payload).toEqualTypeOf<unknown>();
    expectTypeOf(event.eventId).toEqualTypeOf<string>();
  }),
);
messageRouter.consumer()(async (routingKey, body, context) => {
  expectTypeOf(routingKey).toEqualTypeOf<string>();
  expectTypeOf(body).toEqualTypeOf<unknown>();
  expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>();
});
messageRouter.defaultConsumer(async (routingKey, body) => {
  expectTypeOf(routingKey).toEqualTypeOf<string>();
  expectTypeOf(body).toEqualTypeOf<unknown>();
});
messageRouter.consumer('audit')(rawConsumer((routingKey) => routingKey.length, { inbox: false, timeout: '5s' }));
messageRouter.consumer('audit')(eventConsumer((_payload: UserPayload) => undefined, { inbox: true, timeout: 30 }));

messageRouter.consumer(
  'sms',
  'send',
)(
  commandConsumer((args: UserPayload, context) => {
    expectTypeOf(args).toEqualTypeOf<UserPayload>();
    expectTypeOf(context).toEqualTypeOf<MessageContext>();
  }),
);
messageRouter.consumer('sms')(
  commandConsumer((args) => expectTypeOf(args).toEqualTypeOf<{ readonly [key: string]: unknown }>(), { inbox: false }),
);
// @ts-expect-error a command has no event
commandConsumer((_args: UserPayload, _context: MessageContext, _event: EventInfo) => undefined);

messageRouter.consumer(
  'pricing',
  'quote',
)(
  callConsumer(
    async (data: UserPayload, info, context) => {
      expectTypeOf(data).toEqualTypeOf<UserPayload>();
      expectTypeOf(info).toEqualTypeOf<CallInfo>();
      expectTypeOf(context).toEqualTypeOf<MessageContext>();
      return data.userId;
    },
    { atomic: false, checkExpiredAfterHandling: true, inbox: true },
  ),
);
messageRouter.consumer('orders')(
  callResponseConsumer((data: UserPayload | null, response) => {
    expectTypeOf(response).toEqualTypeOf<CallResponseInfo>();
    return data?.userId;
  }),
);
expectTypeOf(call('pricing', 'quote', {})).toEqualTypeOf<Promise<unknown>>();
expectTypeOf(call<number>('pricing', 'quote', {}, { timeout: '2s' })).toEqualTypeOf<Promise<number>>();
// @ts-expect-error only calls are answered atomically
eventConsumer(() => undefined, { atomic: true });

// What comes back is what was handed over, so that one function can be registered twice.
const onUser = messageRouter.consumer('a')(
  messageRouter.consumer('b')(eventConsumer((payload: UserPayload) => payload.userId)),
);
expectTypeOf(onUser).parameter(0).toEqualTypeOf<UserPayload>();

// @ts-expect-error an event handler without eventConsumer would get the routing key as its payload
messageRouter.consumer('user')((payload: UserPayload) => payload.userId);
// @ts-expect-error the body is unknown until it is checked
messageRouter.consumer('user')((_routingKey, body: UserPayload) => body.userId);
// @ts-expect-error no such field
eventConsumer((_payload: UserPayload, event) => event.eventTyp);
// @ts-expect-error no such field
eventConsumer((_payload: UserPayload, _event, context) => context.mesageId);
// @ts-expect-error no such field
eventConsumer((payload: UserPayload) => payload.userID);
// @ts-expect-error the second argument is the event
eventConsumer((_payload: UserPayload, _event: number) => undefined);
// @ts-expect-error nothing gives a fourth argument
eventConsumer((_payload: UserPayload, _event: EventInfo, _context: MessageContext, _more: string) => undefined);
// @ts-expect-error no such option
eventConsumer(() => undefined, { inbx: true });
// @ts-expect-error not a duration
eventConsumer(() => undefined, { timeout: '5 parsecs' });
// @ts-expect-error a text
messageRouter.consumer(7);
// @ts-expect-error kinds are for functions
eventConsumer('text');
// @ts-expect-error the context cannot be changed
eventConsumer((_payload, _event, context) => (context.attempt = 2));

class Accepted {
  @messageRouter.consumer('user', 'update.*')
  @messageRouter.consumer('user', 'create.base')
  @eventConsumer
  static async onUser(_payload: UserPayload, _event: EventInfo, _context: MessageContext) {}

  @eventConsumer({ inbox: false })
  @messageRouter.consumer('order')
  onOrder(this: Accepted, _payload: UserPayload) {}

  @messageRouter.consumer('sms', 'send')
  @commandConsumer
  static onSms(_args: UserPayload, _context: MessageContext) {}

  @commandConsumer({ timeout: '5s' })
  @messageRouter.consumer('sms', 'cancel')
  onCancel(_args: UserPayload) {}

  @messageRouter.defaultConsumer
  static onRest(_routingKey: string, _body: unknown, _context: MessageContext) {}

  @messageRouter.consumer()
  protected onAny() {}
}

class Refused {
  // @ts-expect-error the second argument is the event
  @eventConsumer
  static wrongEvent(_payload: UserPayload, _event: number) {}

  // @ts-expect-error the second argument is the event
  @eventConsumer({ inbox: true })
  static wrongEventWithOptions(_payload: UserPayload, _event: Date) {}

  // @ts-expect-error the body is unknown until it is checked
  @rawConsumer
  static wrongBody(_routingKey: string, _body: UserPayload) {}

  // @ts-expect-error nothing gives a fourth argument
  @messageRouter.consumer('user')
  static tooMany(_a: string, _b: unknown, _c: MessageContext, _d: number) {}

  // @ts-expect-error the third argument is the context
  @messageRouter.consumer('user')
  static wrongContext(_a: string, _b: unknown, _context: number) {}

  // @ts-expect-error a field
  @messageRouter.consumer('user')
  field = () => undefined;

  // @ts-expect-error a getter
  @eventConsumer
  get getter() {
    return 1;
  }

  // @ts-expect-error a getter
  @messageRouter.consumer('user')
  get another() {
    return 1;
  }

  // @ts-expect-error a private method
  @messageRouter.consumer('user')
  static #hidden() {}

  static use = () => Refused.#hidden();
}

// @ts-expect-error a class
@messageRouter.consumer('user')
class WholeClass {}

export { Accepted, Refused, WholeClass };

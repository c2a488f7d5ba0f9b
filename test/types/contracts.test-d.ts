import { type } from 'arktype';
import * as v from 'valibot';
import { expectTypeOf } from 'vitest';
import { z } from 'zod';
import {
  type CallInfo,
  call,
  callable,
  callConsumer,
  command,
  type EventInfo,
  event,
  eventConsumer,
  MessageRouter,
  type OfArguments,
  publishAggregateEvent,
  type Schema,
  sendCall,
  sendCommand,
} from '../../src/index.ts';

// Compiled by `npm run types`, never run. What must be refused stands under @ts-expect-error: it is an error there if
// the line compiles.

const messageRouter = new MessageRouter();
const updated = event('user', 'update.base', z.object({ id: z.number(), name: z.string().default('nobody') }));
const sendSms = command('sms', 'send', v.object({ phone: v.string() }));
const quote = callable('pricing', 'quote', { input: type({ sku: 'string' }), output: z.coerce.number<string>() });

// Who sends gives what the schema takes; who receives gets what it makes of that.
expectTypeOf(publishAggregateEvent(updated, { id: 1 }, { key: 1 })).resolves.toHaveProperty('eventId');
expectTypeOf(sendCommand(sendSms, { phone: '1' }, { timeout: 30 })).resolves.toHaveProperty('commandId');
expectTypeOf(call(quote, { sku: 'a' }, { timeout: 2 })).toEqualTypeOf<Promise<number>>();
expectTypeOf(sendCall(quote, { sku: 'a' })).toEqualTypeOf<Promise<string>>();
messageRouter.consumer(updated)(async (payload, info) => {
  expectTypeOf(payload).toEqualTypeOf<{ id: number; name: string }>();
  expectTypeOf(info).toEqualTypeOf<EventInfo>();
});
messageRouter.consumer(updated)(eventConsumer(async (payload: { id: number }) => payload.id, { inbox: false }));
messageRouter.consumer(sendSms)(async ({ phone }, context) => {
  expectTypeOf(phone).toEqualTypeOf<string>();
  expectTypeOf(context.deadline).toEqualTypeOf<Date | undefined>();
});
messageRouter.consumer(quote)(async ({ sku }) => `${sku.length}`);
messageRouter.consumer(quote)(callConsumer(async ({ sku }: { sku: string }) => sku, { atomic: false }));
messageRouter.consumer(quote)(callConsumer(({ sku }: { sku: string }, info: CallInfo) => sku + info.method));

// @ts-expect-error no such payload
publishAggregateEvent(updated, { id: 'one' });
// @ts-expect-error the payload is missing
publishAggregateEvent(updated);
// @ts-expect-error a command is not published
publishAggregateEvent(sendSms, { phone: '1' });
// @ts-expect-error no such arguments
sendCommand(sendSms, { phone: 1 });
// @ts-expect-error its name is in the contract
sendCommand(sendSms, { phone: '1' }, { commandName: 'other' });
// @ts-expect-error no such question
call(quote, { skuu: 'a' });
// @ts-expect-error no such field
messageRouter.consumer(updated)(async (payload) => payload.nmae);
// @ts-expect-error no such answer
messageRouter.consumer(quote)(async () => ({ price: 1 }));
// @ts-expect-error no such answer
messageRouter.consumer(quote)(callConsumer(async () => ({ price: 1 }), { atomic: false }));
// @ts-expect-error no such question
messageRouter.consumer(quote)(callConsumer(async ({ sku }: { sku: number }) => `${sku}`));
// @ts-expect-error the contract's payload has a number there
messageRouter.consumer(updated)(async (payload: { id: string }) => payload.id);

// Arguments are the fields of the body, beside `meta`.
command('sms', 'open', z.looseObject({ phone: z.string() }));
command('sms', 'open', z.record(z.string(), z.number()));
command('sms', 'open', z.union([z.object({ phone: z.string() }), z.object({ to: z.string() })]));
command('sms', 'open', z.unknown());
command('sms', 'open', z.any());
const ours = <S extends Schema>(name: string, schema: S & OfArguments<S>) => command<S>('sms', name, schema);
expectTypeOf(sendCommand(ours('open', z.object({ phone: z.string() })), { phone: '1' })).resolves.toHaveProperty(
  'commandId',
);
// @ts-expect-error a text is no arguments
command('sms', 'send', z.string());
// @ts-expect-error a list is no arguments
command('sms', 'send', v.array(v.string()));
// @ts-expect-error nor is a pair
command('sms', 'send', type(['string', 'number']));
// @ts-expect-error one that may be a text
command('sms', 'send', z.union([z.object({ phone: z.string() }), z.string()]));
// @ts-expect-error one that may be left out
command('sms', 'send', z.object({ phone: z.string() }).optional());
// @ts-expect-error the wire format has its own meta
command('sms', 'send', z.object({ meta: z.string().optional() }));

class Accepted {
  @messageRouter.consumer(updated)
  static onUser(_payload: { id: number }, _info: EventInfo) {}

  @messageRouter.consumer(quote)
  @callConsumer({ atomic: false })
  quote({ sku }: { sku: string }) {
    return sku;
  }
}

class Refused {
  // @ts-expect-error the contract's payload has a number there
  @messageRouter.consumer(updated)
  static onUser(_payload: { id: string }) {}
}

export { Accepted, Refused };

import type { MessageContext } from '../../../src/message/handler.ts';
import { eventConsumer } from '../../../src/router/event-consumer.ts';
import { rawConsumer } from '../../../src/router/raw-consumer.ts';
import { MessageRouter } from '../../../src/router/router.ts';
import type { EventInfo } from '../../../src/wire/event.ts';

// Compiled with experimentalDecorators by test/unit/router-decorators.test.ts, never run.

interface UserPayload {
  readonly userId: number;
}

const messageRouter = new MessageRouter();

export class Accepted {
  @messageRouter.consumer('user', 'update.*')
  @messageRouter.consumer('user', 'create.base')
  @eventConsumer
  static async onUser(_payload: UserPayload, _event: EventInfo, _context: MessageContext) {}

  @eventConsumer({ inbox: false })
  @messageRouter.consumer('order')
  onOrder(this: Accepted, _payload: UserPayload) {}

  @messageRouter.defaultConsumer
  static onRest(_routingKey: string, _body: unknown, _context: MessageContext) {}

  @messageRouter.consumer()
  protected onAny() {}
}

export class Refused {
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

  // @ts-expect-error a field
  @messageRouter.consumer('user')
  field = () => undefined;

  // @ts-expect-error a getter
  @eventConsumer
  get getter() {
    return 1;
  }
}

// @ts-expect-error a class
@messageRouter.consumer('user')
export class WholeClass {}

import type { Incoming, MessageContext } from '../../../src/message/handler.ts';
import { eventConsumer } from '../../../src/router/event-consumer.ts';
import { rawConsumer } from '../../../src/router/raw-consumer.ts';
import { MessageRouter } from '../../../src/router/router.ts';
import type { EventInfo } from '../../../src/wire/event.ts';

/** Which dialect this file was compiled in, seen by what a decorator gets. */
export function dialect(): string {
  let seen = '';
  const look = (...args: unknown[]): void => {
    seen = args.length === 3 ? 'legacy' : 'standard';
  };
  class Probe {
    @look
    method() {}
  }
  return new Probe() && seen;
}

/** Compiled and run with standard and with legacy decorators, by tsc, tsx and vitest: the answers must not differ. */
export async function runCases(): Promise<object> {
  return {
    static: await staticMethods(),
    instance: await instanceMethods(),
    inherited: await inheritedMethods(),
    foreign: await otherDecorators(),
    refused: refusals(),
    unregistered: unregistered(),
  };
}

interface UserPayload {
  readonly userId: number;
}

const context = {} as MessageContext;
const incoming = (routingKey: string): Incoming =>
  ({
    routingKey,
    body: {
      eventId: '7',
      eventTime: '2026-01-02T03:04:05.000Z',
      eventType: routingKey,
      aggregate: 'user',
      payload: { userId: 1 },
    },
  }) as unknown as Incoming;

const call = (router: MessageRouter, exchange: string, key: string): Promise<unknown> | undefined =>
  router.resolve(exchange, key)?.invoke(incoming(key), context);

const listed = (router: MessageRouter) =>
  router.routes
    .map(
      ({ level, exchange, pattern, name, kind, options, file }) =>
        `${level} ${exchange ?? '-'} ${pattern ?? '-'} ${name} ${kind} ${options.inbox ?? '-'} ${options.timeoutMs ?? '-'} ${/cases\.[jt]s$/.test(file ?? '')}`,
    )
    .toSorted();

async function staticMethods() {
  const messageRouter = new MessageRouter();
  class UserConsumers {
    static readonly greeting = 'hello';

    @messageRouter.consumer('user', 'update.*')
    @messageRouter.consumer('user', 'create.base')
    @eventConsumer
    static async onUser(payload: UserPayload, event: EventInfo, _context: MessageContext) {
      return `${UserConsumers.greeting} ${payload.userId} ${event.eventType}`;
    }

    @eventConsumer({ inbox: false, timeout: '5s' })
    @messageRouter.consumer('user', 'deleted.#')
    static onDeleted(payload: UserPayload) {
      return `${UserConsumers.greeting} and bye ${payload.userId}`;
    }

    @messageRouter.consumer('user')
    @rawConsumer({ timeout: 2 })
    static onRest(routingKey: string, body: unknown) {
      return `${routingKey} ${typeof body}`;
    }

    @messageRouter.consumer()
    static onAny(routingKey: string) {
      return `any ${routingKey}`;
    }

    @messageRouter.defaultConsumer
    static onDefault() {}
  }
  return {
    routes: listed(messageRouter),
    same: typeof UserConsumers.onUser,
    calls: [
      await call(messageRouter, 'user', 'update.base'),
      await call(messageRouter, 'user', 'create.base'),
      await call(messageRouter, 'user', 'deleted.for.good'),
      await call(messageRouter, 'user', 'other'),
      await call(messageRouter, 'shop', 'opened'),
    ],
    bindings: messageRouter.bindings().map(({ exchange, pattern }) => `${exchange} ${pattern}`),
  };
}

async function instanceMethods() {
  const messageRouter = new MessageRouter();
  class OrderConsumers {
    readonly #prefix: string;
    constructor(prefix: string) {
      this.#prefix = prefix;
    }

    @messageRouter.consumer('order', 'created')
    @eventConsumer
    async onOrder(this: OrderConsumers, payload: UserPayload, _event: EventInfo) {
      return `${this.#prefix} ${payload.userId}`;
    }
  }
  const before = messageRouter.routes.length;
  messageRouter.register(new OrderConsumers('first'));
  return {
    before,
    after: listed(messageRouter),
    call: await call(messageRouter, 'order', 'created'),
    twice: codeOf(() => messageRouter.register(new OrderConsumers('second'))),
    none: codeOf(() => messageRouter.register({})),
    aClass: codeOf(() => messageRouter.register(OrderConsumers)),
    left: messageRouter.unregistered(),
  };
}

async function inheritedMethods() {
  const messageRouter = new MessageRouter();
  class Base {
    @messageRouter.consumer('a', 'kept')
    kept() {
      return `kept by ${this.who()}`;
    }

    @messageRouter.consumer('a', 'overridden')
    overridden() {
      return 'base';
    }

    @messageRouter.consumer('a', 'moved.from')
    moved() {
      return 'base';
    }

    @messageRouter.consumer('a', 'recast')
    recast(_first: unknown) {
      return 'base';
    }

    who() {
      return 'base';
    }
  }
  class Derived extends Base {
    override overridden() {
      return 'derived';
    }

    @messageRouter.consumer('a', 'moved.to')
    override moved() {
      return 'derived';
    }

    @eventConsumer
    override recast({ userId }: UserPayload) {
      return `derived ${userId}`;
    }

    override who() {
      return 'derived';
    }
  }
  messageRouter.register(new Derived());
  return {
    routes: listed(messageRouter),
    calls: [
      await call(messageRouter, 'a', 'kept'),
      await call(messageRouter, 'a', 'overridden'),
      await call(messageRouter, 'a', 'moved.to'),
      await call(messageRouter, 'a', 'recast'),
    ],
    left: messageRouter.unregistered(),
    siblings: codeOf(() => messageRouter.register(new Base())),
  };
}

/** A decorator that the types let through, to see what the run says. */
type Loose = (...args: unknown[]) => void;

/** A decorator of the user's that wraps the method, in both dialects. */
const shout = ((subject: unknown, _second: unknown, descriptor?: PropertyDescriptor): unknown => {
  const wrap = (fn: unknown) =>
    function (this: unknown, ...args: unknown[]) {
      return `${typeof fn === 'function' ? Reflect.apply(fn, this, args) : fn}!`;
    };
  return descriptor ? { ...descriptor, value: wrap(descriptor.value) } : wrap(subject);
}) as Loose;

async function otherDecorators() {
  const messageRouter = new MessageRouter();
  class Wrapped {
    @messageRouter.consumer('w', 'outside')
    @shout
    @eventConsumer
    static between(payload: UserPayload, _event: EventInfo) {
      return `user ${payload.userId}`;
    }

    @shout
    @messageRouter.consumer('w', 'inside')
    inside(routingKey: string) {
      return routingKey;
    }
  }
  messageRouter.register(new Wrapped());
  return [await call(messageRouter, 'w', 'outside'), await call(messageRouter, 'w', 'inside')];
}

function refusals() {
  const messageRouter = new MessageRouter();
  const loose = (mark: unknown) => mark as Loose;
  const consumer = loose(messageRouter.consumer('x'));
  const event = loose(eventConsumer);
  return {
    field: codeOf(() => {
      class Field {
        @consumer
        handler = () => undefined;
      }
      return new Field();
    }),
    getter: codeOf(() => {
      class Getter {
        @event
        get handler() {
          return 1;
        }
      }
      return new Getter();
    }),
    class: codeOf(() => {
      @consumer
      class Whole {}
      return new Whole();
    }),
    classOfKind: codeOf(() => {
      @event
      class Whole {}
      return new Whole();
    }),
    twoKinds: codeOf(() => {
      class Two {
        @eventConsumer
        @rawConsumer
        static both() {}
      }
      return Two;
    }),
    samePattern: codeOf(() => {
      class Twice {
        @messageRouter.consumer('user', 'a.*')
        static one() {}
        @messageRouter.consumer('user', 'a.*')
        static two() {}
      }
      return Twice;
    }),
    defaults: codeOf(() => {
      class Twice {
        @messageRouter.defaultConsumer
        static one() {}
        @messageRouter.defaultConsumer
        static two() {}
      }
      return Twice;
    }),
  };
}

const sharedRouter = new MessageRouter();

export class NeverRegistered {
  @sharedRouter.consumer('lonely', 'a')
  @sharedRouter.consumer('lonely', 'b')
  onLonely() {}
}

const unregistered = () => ({
  isNamed: sharedRouter.unregistered()[0]?.includes('onLonely'),
  withModules: sharedRouter
    .unregistered([{ NeverRegistered }])
    .map((name) => name.replace(/ \(.*cases\.[jt]s\)$/, ' (file)')),
});

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'nothing thrown';
  } catch (error) {
    return error instanceof Error && 'code' in error
      ? `${error.code}: ${error.message.replace(/ \(\S+\)/g, '')}`
      : String(error);
  }
}

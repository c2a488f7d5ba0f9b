import { InvalidArgumentError, InvalidConsumerError } from '../errors.ts';
import {
  type CallContract,
  type CommandContract,
  type Contract,
  type EventContract,
  type InputOf,
  isContract,
  type OutputOf,
  type Schema,
} from '../message/contract.ts';
import type { MessageContext, Middleware } from '../message/handler.ts';
import type { BindSpec } from '../message/topology.ts';
import { kindOf as typeName } from '../util/assert-object.ts';
import { assertName, overlap, parseTopicPattern, topicWords } from '../util/topic-pattern.ts';
import type { CallInfo } from './call-consumer.ts';
import { callSite } from './call-site.ts';
import type { CommandHandler } from './command-consumer.ts';
import { contractedCall, contractedKind } from './contracted.ts';
import { type Decoration, ownersOf, readDecoration } from './decoration.ts';
import type { EventHandler } from './event-consumer.ts';
import { type Explanation, explainRoutes } from './explain.ts';
import { InstanceConsumers, type Mark } from './instance-consumers.ts';
import { type ConsumerKind, isUserCall, type UserCall } from './kind.ts';
import {
  type ConsumerFunction,
  type Kinded,
  kindOfFunction,
  kindOfInherited,
  kindOfMethod,
  type MethodMark,
} from './kind-decorator.ts';
import { type HandlerLookup, handlerLookup, type PipelineOptions } from './pipeline.ts';
import { DEFAULT_KIND, type RawHandler } from './raw-consumer.ts';
import { type Registration, type Route, type Selector, selectorCall } from './route.ts';
import { Routes } from './routes.ts';

/**
 * Says which messages a function takes. On a public method it is a decorator, standard or legacy, in any order with
 * others; called with a free function it registers that and returns it.
 */
export interface ConsumerMark extends MethodMark<ConsumerFunction> {
  // TypeScript lets a signature of one parameter decorate anything; the second keeps these two for free functions.
  <F extends RawHandler>(fn: F, none?: never): F;
  <F extends Kinded<ConsumerFunction>>(fn: F, none?: never): F;
}

/** The same for consumers of a contract: their first argument is what its schema makes of the message. */
export interface ContractMark<F extends (...args: never[]) => unknown> extends MethodMark<F> {
  // TypeScript lets a signature of one parameter decorate anything; the second keeps this one for free functions.
  <G extends F>(fn: G, none?: never): G;
}

export interface RegisterConsumer {
  /** @see MessageRouter.consumer */
  (exchange?: string, pattern?: string): ConsumerMark;
  <S extends Schema>(contract: EventContract<S>): ContractMark<EventHandler<OutputOf<S>>>;
  <S extends Schema>(contract: CommandContract<S>): ContractMark<CommandHandler<OutputOf<S>>>;
  <I extends Schema, O extends Schema>(contract: CallContract<I, O>): ContractMark<ContractedCallHandler<I, O>>;
}

/** Answers what the contract says. */
export type ContractedCallHandler<I extends Schema, O extends Schema> = (
  data: OutputOf<I>,
  call: CallInfo,
  context: MessageContext,
) => InputOf<O> | Promise<InputOf<O>>;

/** Which function takes which message. Registration is synchronous; `handlers` makes it into what a consumer runs. */
export class MessageRouter {
  readonly #routes = new Routes();
  readonly #instances = new InstanceConsumers();
  readonly #middleware: Middleware[] = [];

  /**
   * A consumer of one routing key or pattern of an exchange, of the whole exchange, of every exchange, or of a contract
   * (`event()`, `command()`, `callable()`), which says all of that and what the message is.
   * @param pattern a routing key, or a pattern with `*` (one word) and `#` (any number of words)
   * @throws InvalidNameError for names that AMQP cannot carry, DuplicateConsumerError when the same is taken,
   * InvalidConsumerError when it is put on anything but a public method or a function
   * @example messageRouter.consumer('user', 'deleted.#')(eventConsumer(async (payload: UserPayload) => {}));
   */
  readonly consumer: RegisterConsumer = (...given: readonly unknown[]): ConsumerMark => {
    const [exchange, pattern] = given;
    // Left out of the call that registers it, a function would never be called, and its messages acked.
    if (given.slice(isContract(exchange) ? 1 : 2).some((more) => more !== undefined) || given.some(isUserCall)) {
      throw new InvalidConsumerError(
        'messageRouter.consumer(…)',
        'it takes an exchange and a pattern, or a contract; the function goes behind it, as in ' +
          'messageRouter.consumer(exchange, pattern)(fn), or the method, as in @messageRouter.consumer(exchange, pattern)',
      );
    }
    return isContract(exchange)
      ? this.#mark('messageRouter.consumer(…)', selectorOf(exchange.exchange, exchange.routingKey), exchange)
      : this.#mark('messageRouter.consumer(…)', selectorOf(exchange as string, pattern as string));
  };

  /**
   * The consumer of what no other takes, as `@messageRouter.defaultConsumer` or `messageRouter.defaultConsumer(fn)`.
   * @throws DuplicateConsumerError when there is one already
   */
  readonly defaultConsumer: ConsumerMark = this.#mark('messageRouter.defaultConsumer', { level: 'default' });

  /** Every registration, in its order. */
  get routes(): readonly Route[] {
    return this.#routes.list;
  }

  /**
   * Registers the decorated instance methods of an object, inherited ones included. All of them or none.
   * @throws DuplicateConsumerError when another instance of its class is registered,
   * InvalidConsumerError when it has no decorated instance methods
   */
  register(instance: object): void {
    const owners = typeof instance === 'object' && instance !== null ? ownersOf(Object.getPrototypeOf(instance)) : [];
    const methods = this.#instances.of(owners);
    if (methods.length === 0) {
      const what = typeof instance === 'function' ? `class ${instance.name}` : `an instance of ${classOf(instance)}`;
      throw new InvalidConsumerError(
        `messageRouter.register got ${what}`,
        'it takes an object whose methods are decorated with messageRouter.consumer; static methods register themselves',
      );
    }
    this.#routes.add(
      methods.flatMap(({ method, marks }) =>
        marks.map(({ selector, file, contract }) => ({
          selector,
          file,
          name: () => `${classOf(instance)}.${String(method.key)}`,
          kind: () => kindOf(kindOfInherited(method, owners), contract),
          contract,
          call: callOf(methodOf(instance, method.key), contract),
        })),
      ),
    );
    this.#instances.markRegistered(owners);
  }

  /**
   * Decorated instance methods whose class was never registered: for UnregisteredConsumerError.
   * @param modules namespaces of the modules that were loaded: they tell the names of their classes, which standard
   * decorators of methods cannot know
   */
  unregistered(modules: Iterable<object> = []): readonly string[] {
    return this.#instances.unregistered(modules);
  }

  /**
   * Adds layers of the user's own around every handler, inside inbox and time limit, for what `handlers` makes from now on.
   * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for what is no function
   */
  use(...middleware: readonly Middleware[]): void {
    for (const layer of middleware) {
      if (typeof layer !== 'function') throw new InvalidArgumentError('middleware', 'functions', typeName(layer));
    }
    this.#middleware.push(...middleware);
  }

  /** The route that takes such a message; undefined when none does. */
  resolve(exchange: string, routingKey: string): Route | undefined {
    return this.#routes.resolve(exchange, routingKey);
  }

  /** Which route takes such a message, which others were considered, and why. */
  explain(exchange: string, routingKey: string): Explanation {
    return explainRoutes(this.#routes, exchange, routingKey);
  }

  /** What a queue must be bound to so that every consumer with an exchange of its own gets its messages. */
  bindings(): readonly BindSpec[] {
    const binds = new Map<string, BindSpec>();
    for (const { exchange, pattern = '#' } of this.routes) {
      // Every queue is bound to the default exchange by its own name, and the broker allows no other binding there.
      if (exchange) binds.set(bindKey({ exchange, pattern }), { exchange, pattern });
    }
    return [...binds.values()];
  }

  /**
   * Consumers that get nothing from a queue that is bound so: none of the bindings brings a message that they take.
   * @param binds of topic exchanges; `#` for exchanges that route otherwise
   */
  unbound(binds: readonly BindSpec[]): readonly Route[] {
    // Where the bindings are those of the consumers each has its own: thousands of them are not compared with thousands.
    const own = new Set(binds.map(bindKey));
    const bound = binds.map(({ exchange, pattern }) => ({ exchange, words: topicWords(pattern) }));
    const isBrought = ({ exchange, pattern }: BindSpec): boolean => {
      const taken = topicWords(pattern);
      return bound.some((bind) => bind.exchange === exchange && overlap(bind.words, taken));
    };
    return this.routes.filter(({ exchange, pattern = '#' }) => {
      const wanted = exchange ? { exchange, pattern } : undefined;
      return wanted && !own.has(bindKey(wanted)) && !isBrought(wanted);
    });
  }

  /**
   * What a consumer runs: it finds a message's route with its layers (recover, correlation, inbox, timeout, those of
   * `use`); undefined when no route takes the message. Routes registered later are found too.
   * @throws InvalidConsumerError when a route asks for the inbox and there is none
   */
  handlers(options: PipelineOptions): HandlerLookup {
    return handlerLookup(this.#routes, {
      ...options,
      middleware: [...(options.middleware ?? []), ...this.#middleware],
    });
  }

  #mark(text: string, selector: Selector, contract?: Contract): ConsumerMark {
    // A default consumer's mark is made with the router, long before a user's file uses it.
    const markedIn = selector.level === 'default' ? undefined : callSite();
    const mark = (...args: unknown[]): unknown => {
      const file = markedIn ?? callSite();
      const method = readDecoration(text, args);
      if (method) return this.#markMethod(method, { selector, file, contract });
      const [fn] = args;
      if (!isUserCall(fn) || args.length !== 1) {
        throw new InvalidConsumerError(text, 'call it with one function, or put it on a method');
      }
      const kind = kindOf(kindOfFunction(fn), contract);
      const name = () => fn.name || selectorCall(selector);
      this.#routes.add([{ selector, file, name, kind: () => kind, contract, call: callOf(fn, contract) }]);
      return fn;
    };
    return mark as ConsumerMark;
  }

  #markMethod(method: Decoration, mark: Mark): void {
    const { selector, file, contract } = mark;
    if (!method.isStatic) {
      this.#instances.mark(method, mark);
      return;
    }
    method.onClass((owner) => {
      const registration: Registration = {
        selector,
        file,
        name: () => `${className(owner)}.${String(method.key)}`,
        kind: () => kindOf(kindOfMethod(method), contract),
        contract,
        call: callOf(methodOf(owner, method.key), contract),
      };
      this.#routes.add([registration]);
    });
  }
}

const bindKey = ({ exchange, pattern }: BindSpec): string => JSON.stringify([exchange, pattern]);

const kindOf = (given: ConsumerKind | undefined, contract: Contract | undefined): ConsumerKind =>
  contract ? contractedKind(given, contract) : (given ?? DEFAULT_KIND);

const callOf = (call: UserCall, contract: Contract | undefined): UserCall =>
  contract ? contractedCall(call, contract) : call;

function selectorOf(exchange: string | undefined, text: string | undefined): Selector {
  if (exchange === undefined) {
    if (text === undefined) return { level: 'any' };
    throw new InvalidArgumentError('consumer exchange', 'an exchange for the pattern', 'undefined');
  }
  assertName('exchange', exchange);
  if (text === undefined) return { level: 'exchange', exchange };
  const pattern = parseTopicPattern(text);
  return { level: pattern.isExact ? 'key' : 'pattern', exchange, pattern };
}

/** Looked up at each call, so that other decorators and a test's spy have their say. */
const methodOf =
  (owner: object, key: string | symbol): UserCall =>
  (...args) =>
    Reflect.apply(Reflect.get(owner, key), owner, args);

/** esbuild writes a class that names itself as `_Name` and gives its name back only after its static methods registered. */
const className = (owner: object): string =>
  'name' in owner ? String(owner.name).replace(/^_(?=[A-Z])/, '') : 'a class';

const classOf = (instance: object): string => instance?.constructor?.name || 'an anonymous class';

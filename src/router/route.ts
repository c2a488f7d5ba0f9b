import type { Contract } from '../message/contract.ts';
import type { Incoming, MessageContext } from '../message/handler.ts';
import type { TopicPattern } from '../util/topic-pattern.ts';
import type { ConsumerKind, ResolvedConsumerOptions, UserCall } from './kind.ts';

/** How closely a route fits, the closest first: a message goes to the first level that has a route for it. */
export const ROUTE_LEVELS = ['key', 'pattern', 'exchange', 'any', 'default'] as const;
export type RouteLevel = (typeof ROUTE_LEVELS)[number];

/** Which messages a consumer was registered for. */
export type Selector =
  | { readonly level: 'key' | 'pattern'; readonly exchange: string; readonly pattern: TopicPattern }
  | { readonly level: 'exchange'; readonly exchange: string }
  | { readonly level: 'any' | 'default' };

/** One registration: these messages go to this function. */
export interface Route {
  readonly level: RouteLevel;
  readonly exchange: string | undefined;
  readonly pattern: string | undefined;
  /** `Class.method`, the function's name, or how it was registered when it has none: `consumer('user', 'a.*')`. */
  readonly name: string;
  /** Where it was registered, relative to the working directory, when known. */
  readonly file: string | undefined;
  /** `raw`, `event`, … */
  readonly kind: string;
  /** What it was registered by instead of names. */
  readonly contract: Contract | undefined;
  readonly options: ResolvedConsumerOptions;
  /** When such a message is not to be executed any more; undefined for kinds that have no deadline. */
  readonly deadlineOf: ConsumerKind['deadlineOf'];
  /** Layers of kinds that answer; undefined for the others. */
  readonly answering: ConsumerKind['answering'];
  /** Whether an `eventId` in the body says which message it is. */
  readonly hasEventId: boolean;
  /** Decodes the message and runs the user's function. Rejects with what that throws. */
  invoke(incoming: Incoming, context: MessageContext): Promise<unknown>;
}

export interface Registration {
  readonly selector: Selector;
  /** Read late: esbuild gives a class with decorated static methods its name only when those have registered. */
  readonly name: () => string;
  readonly file: string | undefined;
  /** Read late: decorators may come in any order, so the kind is known only when all of them have run. */
  readonly kind: () => ConsumerKind;
  readonly contract: Contract | undefined;
  readonly call: UserCall;
}

export class RegisteredRoute implements Route {
  readonly level: RouteLevel;
  readonly exchange: string | undefined;
  readonly pattern: string | undefined;
  readonly file: string | undefined;
  readonly #registration: Registration;
  #name: string | undefined;
  #kind: ConsumerKind | undefined;

  constructor(registration: Registration) {
    const { selector, file } = registration;
    this.level = selector.level;
    this.exchange = 'exchange' in selector ? selector.exchange : undefined;
    this.pattern = 'pattern' in selector ? selector.pattern.text : undefined;
    this.file = file;
    this.#registration = registration;
  }

  get name(): string {
    this.#name ??= this.#registration.name();
    return this.#name;
  }

  get kind(): string {
    return this.#known().name;
  }

  get contract(): Contract | undefined {
    return this.#registration.contract;
  }

  get options(): ResolvedConsumerOptions {
    return this.#known().options;
  }

  get deadlineOf(): ConsumerKind['deadlineOf'] {
    return this.#known().deadlineOf;
  }

  get answering(): ConsumerKind['answering'] {
    return this.#known().answering;
  }

  get hasEventId(): boolean {
    return this.#known().hasEventId ?? false;
  }

  // Not async, as nothing on every message's way is: each promise more costs, twice so under AsyncLocalStorage.
  invoke(incoming: Incoming, context: MessageContext): Promise<unknown> {
    try {
      return Promise.resolve(this.#known().invoke(this.#registration.call, incoming, context));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  toJSON(): object {
    const { level, exchange, pattern, name, file, kind, options } = this;
    return { level, exchange, pattern, name, file, kind, options };
  }

  #known(): ConsumerKind {
    this.#kind ??= this.#registration.kind();
    return this.#kind;
  }
}

/** `exchange "user", pattern "update.*"`: for error texts and `explain`. */
export function describeSelector(selector: Selector): string {
  switch (selector.level) {
    case 'key':
      return `exchange "${selector.exchange}", routing key "${selector.pattern.text}"`;
    case 'pattern':
      return `exchange "${selector.exchange}", pattern "${selector.pattern.text}"`;
    case 'exchange':
      return `exchange "${selector.exchange}", every routing key`;
    case 'any':
      return 'every exchange';
    case 'default':
      return 'the default consumer';
  }
}

/** How it was written: the name of a consumer whose function has none. */
export function selectorCall(selector: Selector): string {
  switch (selector.level) {
    case 'key':
    case 'pattern':
      return `consumer('${selector.exchange}', '${selector.pattern.text}')`;
    case 'exchange':
      return `consumer('${selector.exchange}')`;
    case 'any':
      return 'consumer()';
    case 'default':
      return 'defaultConsumer';
  }
}

/** `UserConsumers.onUser (src/users/consumers.ts)`. */
export const describeOrigin = ({ name, file }: Pick<Route, 'name' | 'file'>): string =>
  file === undefined ? name : `${name} (${file})`;

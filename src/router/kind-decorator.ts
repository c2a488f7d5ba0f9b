import { InvalidArgumentError, InvalidConsumerError } from '../errors.ts';
import type { MessageContext } from '../message/handler.ts';
import { type Decoration, readDecoration } from './decoration.ts';
import { type ConsumerKind, type ConsumerOptions, isUserCall, type UserCall } from './kind.ts';
import { MethodTable } from './method-table.ts';

/** Whatever a consumer's function may look like; each kind narrows it. */
export type ConsumerFunction =
  | ((first: never, second: never, context: MessageContext) => unknown)
  | ((first: never, context: MessageContext) => unknown);

/** A method may state its `this`; the function is called with the right one. */
type OfMethod<F> = F extends (...args: infer A) => infer R ? (this: never, ...args: A) => R : never;

/** The part of ClassMethodDecoratorContext that tells a public method from all else. */
interface PublicMethodContext {
  readonly kind: 'method';
  readonly private: false;
}

/** Usable on a public method, static or not, with standard and with `experimentalDecorators`. Records, changes nothing. */
export interface MethodMark<F extends (...args: never[]) => unknown> {
  (method: OfMethod<F>, context: PublicMethodContext): void;
  <M extends OfMethod<F>>(target: object, key: string | symbol, descriptor: TypedPropertyDescriptor<M>): void;
}

declare const kinded: unique symbol;

/** A free function whose kind is known: what `eventConsumer(fn)` and its like return. It can still be called. */
export type Kinded<F extends (...args: never[]) => unknown> = F & { readonly [kinded]: true };

const kindsOfMethods = new MethodTable<ConsumerKind>();
const kindsOfFunctions = new WeakMap<object, ConsumerKind>();

/** The kind that `eventConsumer` or its like gave to a method or a free function; undefined when none did. */
export const kindOfMethod = (method: Pick<Decoration, 'owner' | 'key' | 'isStatic'>): ConsumerKind | undefined =>
  kindsOfMethods.get(method);
export const kindOfFunction = (fn: object): ConsumerKind | undefined => kindsOfFunctions.get(fn);

/**
 * The kind of a method that may be overridden by one that says another kind and nothing else.
 * @param owners of the instance's class and all it extends, the most derived first
 */
export function kindOfInherited(method: Pick<Decoration, 'owner' | 'key' | 'isStatic'>, owners: readonly object[]) {
  const overrides = owners.slice(0, owners.indexOf(method.owner) + 1);
  return overrides.map((owner) => kindOfMethod({ ...method, owner })).find((kind) => kind !== undefined);
}

/**
 * The run-time side of `eventConsumer` and its like: `@kind`, `@kind(options)`, `kind(fn)` and `kind(fn, options)`.
 * Each kind states its own types over it.
 * @param decorator as the user writes it
 * @param make checks the options and builds the kind
 */
export function kindDecorator<O extends ConsumerOptions>(
  decorator: string,
  make: (options: Partial<O>) => ConsumerKind,
): UserCall {
  const mark = (options: Partial<O>, args: readonly unknown[]): boolean => {
    const method = readDecoration(decorator, args);
    if (!method) return false;
    const known = kindsOfMethods.get(method);
    if (known) throw twoKinds(String(method.key), known, decorator);
    kindsOfMethods.set(method, make(options));
    return true;
  };
  return (...args) => {
    if (mark({}, args)) return undefined;
    const [subject, options = {}] = args;
    if (isOptions<O>(subject) && args.length === 1) {
      make(subject);
      return (...decorated: unknown[]) => {
        if (!mark(subject, decorated))
          throw new InvalidConsumerError(`@${decorator}(…)`, `use ${decorator}(fn, options)`);
      };
    }
    if (!isUserCall(subject) || !isOptions<O>(options)) {
      throw new InvalidArgumentError(decorator, 'a function, options, or a method to decorate', typeof subject);
    }
    return markFunction(decorator, subject, make(options));
  };
}

/** A function of its own for each call: the same function may be handed over with different options. */
function markFunction(decorator: string, fn: UserCall, kind: ConsumerKind): UserCall {
  const known = kindsOfFunctions.get(fn);
  if (known) throw twoKinds(fn.name || 'the function', known, decorator);
  const marked: UserCall = (...args) => fn(...args);
  Object.defineProperty(marked, 'name', { value: fn.name });
  kindsOfFunctions.set(marked, kind);
  return marked;
}

const twoKinds = (name: string, known: ConsumerKind, decorator: string) =>
  new InvalidConsumerError(
    name,
    `it is a consumer of kind ${known.name} already; take @${decorator} or the other away`,
  );

function isOptions<O>(value: unknown): value is Partial<O> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

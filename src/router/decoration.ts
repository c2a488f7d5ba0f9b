import { InvalidConsumerError } from '../errors.ts';

// TypeScript's and esbuild's decorator helpers hand out `context.metadata` only if this symbol exists when the user's
// class is defined, which is after this module was loaded. Node 20 to 24 do not have it yet.
const METADATA: symbol = Symbol.metadata ?? Symbol.for('Symbol.metadata');
if (Symbol.metadata === undefined) Object.defineProperty(Symbol, 'metadata', { value: METADATA });

/** The method that a decorator was put on. */
export interface Decoration {
  /** One for all methods of a class: standard decorators give its metadata, legacy ones its prototype (static: itself). */
  readonly owner: object;
  readonly key: string | symbol;
  readonly isStatic: boolean;
  /** Calls back when the class exists, with the class. For static methods only. */
  onClass(use: (owner: object) => void): void;
}

/**
 * What a decorator was put on, in either dialect; undefined when the arguments are those of a plain call.
 * @param decorator as the user writes it, for the error text
 * @throws InvalidConsumerError (SVC_COMM_INVALID_CONSUMER) when it is not a public method
 */
export function readDecoration(decorator: string, args: readonly unknown[]): Decoration | undefined {
  const [target, second, third] = args;
  if (isStandardContext(second)) return fromStandard(decorator, second);
  const isKey = typeof second === 'string' || typeof second === 'symbol';
  if (isKey || typeof third === 'number') return fromLegacy(decorator, target, second, third);
  if (isClass(target)) throw refused(decorator, `class ${target.name}`);
  return undefined;
}

/**
 * The owners of a class and all it extends, the most derived first: what its decorated instance methods are filed under.
 */
export function ownersOf(prototype: object): object[] {
  const owners: object[] = [];
  for (let at: object | null = prototype; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    owners.push(at);
    const metadata = Object.hasOwn(at, 'constructor') ? metadataOf(at.constructor) : undefined;
    if (metadata) owners.push(metadata);
  }
  return owners;
}

/** The metadata that standard decorators keep for a class itself, not that of the class it extends. */
export function metadataOf(classOrFunction: object): object | undefined {
  const metadata: unknown = Object.getOwnPropertyDescriptor(classOrFunction, METADATA)?.value;
  return typeof metadata === 'object' && metadata !== null ? metadata : undefined;
}

function isStandardContext(value: unknown): value is DecoratorContext {
  return typeof value === 'object' && value !== null && 'kind' in value && 'addInitializer' in value;
}

function fromStandard(decorator: string, context: DecoratorContext): Decoration {
  if (context.kind !== 'method' || context.private) throw refused(decorator, `${context.kind} ${String(context.name)}`);
  if (!context.metadata) {
    throw new InvalidConsumerError(
      `@${decorator} on ${String(context.name)}`,
      'the compiler gives no decorator metadata: compile with TypeScript 5.2, esbuild 0.21 or later, and import svc-comm first',
    );
  }
  return {
    owner: context.metadata,
    key: context.name,
    isStatic: context.static,
    onClass: (use) =>
      context.addInitializer(function (this: unknown) {
        if (typeof this === 'function') use(this);
      }),
  };
}

function fromLegacy(decorator: string, target: unknown, key: unknown, descriptor: unknown): Decoration {
  const name = typeof key === 'symbol' || typeof key === 'string' ? key : 'constructor';
  if (typeof descriptor === 'number') throw refused(decorator, `a parameter of ${String(name)}`);
  const { get, value }: PropertyDescriptor = isDescriptor(descriptor) ? descriptor : {};
  const isStatic = typeof target === 'function';
  if (typeof value !== 'function' || !(isStatic || (typeof target === 'object' && target !== null))) {
    throw refused(decorator, `${get ? 'getter' : 'field'} ${String(name)}`);
  }
  return { owner: target, key: name, isStatic, onClass: (use) => use(target) };
}

const isDescriptor = (value: unknown): value is PropertyDescriptor => typeof value === 'object' && value !== null;

const refused = (decorator: string, what: string) =>
  new InvalidConsumerError(
    `@${decorator} on ${what}`,
    'it belongs on a public method; hand a free function over as a value, messageRouter.consumer(…)(fn)',
  );

function isClass(value: unknown): value is { readonly name: string } {
  return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
}

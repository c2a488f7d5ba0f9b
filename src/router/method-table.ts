import type { Decoration } from './decoration.ts';

/** What decorators recorded of methods: filed by class, then by static or not, then by name. */
export class MethodTable<T> {
  readonly #static = new WeakMap<object, Map<string | symbol, T>>();
  readonly #instance = new WeakMap<object, Map<string | symbol, T>>();

  get({ owner, key, isStatic }: Pick<Decoration, 'owner' | 'key' | 'isStatic'>): T | undefined {
    return (isStatic ? this.#static : this.#instance).get(owner)?.get(key);
  }

  set({ owner, key, isStatic }: Pick<Decoration, 'owner' | 'key' | 'isStatic'>, value: T): void {
    const table = isStatic ? this.#static : this.#instance;
    const methods = table.get(owner);
    if (methods) methods.set(key, value);
    else table.set(owner, new Map([[key, value]]));
  }

  /** Instance methods of one class. */
  ofInstances(owner: object): ReadonlyMap<string | symbol, T> {
    return this.#instance.get(owner) ?? new Map();
  }
}

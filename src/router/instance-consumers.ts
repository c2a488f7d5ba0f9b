import type { Contract } from '../message/contract.ts';
import { type Decoration, metadataOf } from './decoration.ts';
import { MethodTable } from './method-table.ts';
import type { Selector } from './route.ts';

/** What `consumer(…)` said on a method. */
export interface Mark {
  readonly selector: Selector;
  readonly file: string | undefined;
  /** What it was registered by instead of names. */
  readonly contract?: Contract | undefined;
}

export interface MarkedMethod {
  readonly method: Pick<Decoration, 'owner' | 'key' | 'isStatic'>;
  readonly marks: readonly Mark[];
}

/** Decorated instance methods. They wait here until an instance of their class is registered. */
export class InstanceConsumers {
  readonly #marks = new MethodTable<Mark[]>();
  readonly #waiting = new Set<object>();

  mark(method: Decoration, mark: Mark): void {
    const marks = this.#marks.get(method);
    if (marks) marks.push(mark);
    else this.#marks.set(method, [mark]);
    this.#waiting.add(method.owner);
  }

  /** The methods of a class and all it extends; where one overrides another and both are decorated, its own marks. */
  of(owners: readonly object[]): MarkedMethod[] {
    const found = new Map<string | symbol, MarkedMethod>();
    for (const owner of owners) {
      for (const [key, marks] of this.#marks.ofInstances(owner)) {
        if (!found.has(key)) found.set(key, { method: { owner, key, isStatic: false }, marks });
      }
    }
    return [...found.values()];
  }

  markRegistered(owners: readonly object[]): void {
    for (const owner of owners) this.#waiting.delete(owner);
  }

  unregistered(modules: Iterable<object>): string[] {
    const names = classNames(modules);
    return [...this.#waiting].flatMap((owner) => {
      const className = names.get(owner) ?? legacyName(owner);
      return this.of([owner]).map(({ method, marks }) => {
        const name = className === undefined ? String(method.key) : `${className}.${String(method.key)}`;
        const file = marks[0]?.file;
        return file === undefined ? name : `${name} (${file})`;
      });
    });
  }
}

/** A legacy decorator's owner is the prototype, which knows its class; a standard one's metadata does not. */
function legacyName(owner: object): string | undefined {
  return Object.hasOwn(owner, 'constructor') ? owner.constructor.name : undefined;
}

function classNames(modules: Iterable<object>): Map<object, string> {
  const names = new Map<object, string>();
  for (const module of modules) {
    for (const exported of Object.values(module)) {
      const metadata = typeof exported === 'function' ? metadataOf(exported) : undefined;
      if (metadata) names.set(metadata, exported.name);
    }
  }
  return names;
}

/** A value that is made when it is first asked for. */
export interface Once<T> {
  (): T;
  readonly isMade: boolean;
}

/** Gives the same value each time. A throw is not remembered. */
export function once<T extends object | undefined>(make: () => T): Once<T> {
  let made: { readonly value: T } | undefined;
  const get = (): T => {
    made ??= { value: make() };
    return made.value;
  };
  return Object.defineProperty(get, 'isMade', { get: () => made !== undefined }) as Once<T>;
}

type Internals = typeof import('./internals.ts');

/** A module as it is built for users, under the types of the sources. */
export async function compiled<Name extends keyof Internals>(name: Name): Promise<Internals[Name]> {
  const internals: Internals = await import(new URL('../dist/bench/internals.js', import.meta.url).href);
  return internals[name];
}

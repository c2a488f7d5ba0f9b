import { fileURLToPath } from 'node:url';
import { InvalidArgumentError } from '../errors.ts';

/** What users define with this package, and a process finds in its registries. */
export type Defined = 'consumer' | 'task' | 'process';

/** Says of which copy of this package something is: npm puts two into one tree when two packages ask for two versions. */
const MADE_BY = Symbol.for('svc-comm.made-by');
/** Of every copy in the process. */
const REGISTRIES = Symbol.for('svc-comm.registries');

interface Maker {
  readonly defined: Defined;
  /** Of the file. */
  readonly url: string;
}

interface Registry extends Maker {
  /** What is in it. */
  names(): readonly string[];
}

/** @param prototype of what is defined */
export function markAsOurs(prototype: object, defined: Defined, url: string): void {
  Object.defineProperty(prototype, MADE_BY, { value: { defined, url } satisfies Maker });
}

/** @param names of what is in the registry that everybody who imports this copy adds to */
export function announceRegistry(defined: Defined, url: string, names: () => readonly string[]): void {
  registries().push({ defined, url, names });
}

/**
 * @param value what is not an instance of ours
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) when it is one of another copy of this package
 */
export function refuseOfOtherCopy(value: unknown, defined: Defined, name: (value: never) => unknown): void {
  if (typeof value !== 'object' || value === null || !(MADE_BY in value)) return;
  const maker = value[MADE_BY] as Maker;
  if (maker.defined === defined) throw ofOtherCopy(maker, name(value as never));
}

/**
 * What is registered with another copy only: nobody who runs this one would know it.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 */
export function refuseOtherRegistries(defined: Defined, url: string): void {
  const found = foundElsewhere(defined, url);
  if (found) throw ofOtherCopy({ defined, url: found.url }, found.name);
}

/**
 * @param url the registry's of this copy
 * @returns the first that is registered with another one, and the file of that
 */
export function foundElsewhere(
  defined: Defined,
  url: string,
): { readonly url: string; readonly name: string } | undefined {
  for (const other of registries()) {
    const [name] = other.defined === defined && other.url !== url ? other.names() : [];
    if (name !== undefined) return { url: other.url, name };
  }
  return undefined;
}

/** What to do about it. */
export const HAVE_ONE =
  'have one of them in the tree (npm ls svc-comm), for example as a peer dependency of what is shared';

function registries(): Registry[] {
  const shared = globalThis as { [REGISTRIES]?: Registry[] };
  shared[REGISTRIES] ??= [];
  return shared[REGISTRIES];
}

const ofOtherCopy = ({ defined, url }: Maker, name: unknown) =>
  new InvalidArgumentError(
    `${defined} "${name}"`,
    'one of the svc-comm that runs',
    `one of another copy, ${fileURLToPath(url)}: ${HAVE_ONE}`,
  );

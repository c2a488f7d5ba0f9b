import { onAbort } from './on-abort.ts';

export interface LinkedSignal {
  /** Aborts with the first of its sources, for the same reason. */
  readonly signal: AbortSignal;
  /** Takes it off its sources; from then on it does not abort any more. For `finally`. */
  unlink(): void;
}

/**
 * One signal of several for as long as a call takes, where one of them lives longer: `AbortSignal.any` leaves an entry at
 * each source, which Node 20 keeps as long as the source lives (nodejs/node#55351), and later ones when somebody listened
 * (nodejs/node#64476).
 */
export function linkedSignal(...sources: readonly AbortSignal[]): LinkedSignal {
  const controller = new AbortController();
  const { signal } = controller;
  const ended = sources.find(({ aborted }) => aborted);
  if (ended) {
    controller.abort(ended.reason);
    return { signal, unlink: () => undefined };
  }
  const forgets = sources.map((source) => onAbort(source, () => controller.abort(source.reason)));
  const unlink = () => {
    for (const forget of forgets) forget();
  };
  return { signal, unlink };
}

/** Ends a switch that has taken every case. */
export function unreachable(value: never): never {
  throw new TypeError(`unexpected ${String(value)}`);
}

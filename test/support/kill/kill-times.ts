/**
 * How often a kill test kills: an eighth of `full` in `npm test`, which the fault runs kill beside; as often as the
 * guarantee says with `KILL_TIMES=full`.
 */
export function killTimes(full: number): number {
  return process.env.KILL_TIMES === 'full' ? full : Math.max(2, Math.ceil(full / 8));
}

import type { Writable } from 'node:stream';

/** What the tasks print goes through this process; one that reads slowly must not fill its memory. */
const MAX_WAITING_BYTES = 1024 * 1024;

/** Writes as long as less than 1 MiB waits for who reads; the rest is left out. */
export const boundedOutput =
  (output: Writable) =>
  (chunk: Buffer): void => {
    if (output.writableLength < MAX_WAITING_BYTES) output.write(chunk);
  };

/**
 * Writes all, at the pace of who reads: a promise that it returns is done when there is room for more, or nobody reads any
 * more. Whoever waits for it holds no more than what it has handed over by then.
 */
export function patientOutput(output: Writable): (text: string) => Promise<void> | undefined {
  let room: Promise<void> | undefined;
  return (text) => {
    // One that is destroyed tells of nothing any more.
    if (output.write(text) || output.destroyed) return undefined;
    room ??= nextRoom(output).then(() => {
      room = undefined;
    });
    return room;
  };
}

const ENDS_WAITING = ['drain', 'close', 'error'] as const;

function nextRoom(output: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of ENDS_WAITING) output.off(event, done);
      resolve();
    };
    for (const event of ENDS_WAITING) output.on(event, done);
  });
}

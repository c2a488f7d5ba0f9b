import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { EmbeddedStateError } from '../../errors.ts';
import { runUntilSignal } from '../../lifecycle/signals.ts';
import { deferred } from '../../util/deferred.ts';
import { messageOf } from '../../util/thrown.ts';
import type { CommandContext } from '../context.ts';

export interface BrokerCommandOptions {
  readonly port: number;
  /** File that durable queues and their persistent messages are kept in. */
  readonly keep?: string;
}

/** Longer than clients get to say good-bye. */
const GRACE_MS = 5_000;

/** Runs the embedded broker alone, until a signal. Needs no settings. @returns 1 when it has ended by itself */
export async function broker(context: CommandContext, { port, keep }: BrokerCommandOptions): Promise<0 | 1> {
  const { EmbeddedBroker } = await import('../../embedded/broker/embedded-broker.ts');
  const logger = await context.createLogger('broker');
  const file = keep === undefined ? undefined : resolve(keep);
  if (file !== undefined) await makeFolderOf(file);
  const broken = deferred<1>();
  const kept = file === undefined ? {} : { stateFile: file };
  const embedded = new EmbeddedBroker({ port, logger, onBroken: () => broken.resolve(1), ...kept });
  await embedded.start();
  const text = file === undefined ? 'nothing is kept' : `durable queues are kept in ${file}`;
  context.print({ url: embedded.url }, `embedded broker at ${embedded.url}, for development and tests; ${text}`);
  return Promise.race([runUntilSignal(embedded, { logger, graceMs: GRACE_MS }), broken.promise]);
}

async function makeFolderOf(file: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
  } catch (cause) {
    const why = `its folder cannot be made (${messageOf(cause)})`;
    throw new EmbeddedStateError('broker', file, why, { cause });
  }
}

import type { Duration } from '../../util/duration.ts';
import type { CommandContext } from '../context.ts';
import { readData } from '../data.ts';
import { printable } from '../printable.ts';
import { withService } from '../with-service.ts';

export interface CallCommandOptions {
  readonly data: string;
  readonly timeout?: Duration;
}

/** Asks a service, and prints its answer. */
export async function call(
  context: CommandContext,
  service: string,
  method: string,
  { data, timeout }: CallCommandOptions,
): Promise<0> {
  const question = await readData(data);
  const answer = await withService(context, (own) => own.call(service, method, question, { timeout }));
  context.print({ service, method, answer }, printable(JSON.stringify(answer, undefined, 2) ?? 'null'));
  return 0;
}

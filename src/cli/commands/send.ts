import { UsageError } from '../../errors.ts';
import type { Duration } from '../../util/duration.ts';
import { isJsonObject } from '../../wire/envelope.ts';
import type { CommandContext } from '../context.ts';
import { readData } from '../data.ts';
import { withService } from '../with-service.ts';

export interface SendOptions {
  readonly data: string;
  readonly timeout?: Duration;
}

/** Sends a command; fails unless the broker has confirmed it and a queue has it. */
export async function send(
  context: CommandContext,
  service: string,
  commandName: string | undefined,
  { data, timeout }: SendOptions,
): Promise<0> {
  const args = await readData(data);
  if (!isJsonObject(args)) throw new UsageError("--data of a command is a JSON object: the command's arguments");
  const { commandId } = await withService(context, (own) => own.sendCommand(service, args, { commandName, timeout }));
  const name = commandName === undefined ? '' : ` ${commandName}`;
  context.print({ service, commandName: commandName ?? '', commandId }, `sent ${service}${name} as ${commandId}`);
  return 0;
}

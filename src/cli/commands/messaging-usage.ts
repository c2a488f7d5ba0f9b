import { type Command, InvalidArgumentError } from 'commander';
import { type Duration, parseDuration } from '../../util/duration.ts';
import type { Action } from '../program.ts';

type Add = <Args extends readonly unknown[]>(
  usage: string,
  description: string,
  load: () => Promise<Action<Args>>,
) => Command;

const DATA = 'JSON, @FILE, or - for standard input';

/** The commands that send and look at messages, with their options. */
export function addMessaging(add: Add): void {
  add('send', 'send a command to a service', async () => (await import('./send.ts')).send)
    .argument('<service>', 'the exchange of the service')
    .argument('[command]', "the command's name")
    .option('-d, --data <json>', `its arguments: ${DATA}`, '{}')
    .option('-t, --timeout <seconds>', 'it must not be executed later, e.g. 30 or 500ms', duration);
  add('call', 'ask a service and print its answer', async () => (await import('./call.ts')).call)
    .argument('<service>', 'the exchange of the service')
    .argument('<method>', 'what is asked for')
    .option('-d, --data <json>', DATA, '{}')
    .option('-t, --timeout <seconds>', 'how long to wait for the answer, e.g. 2 or 500ms (default: 30)', duration);
  add('publish', 'publish an event at once', async () => (await import('./publish.ts')).publish)
    .argument('<aggregate>', 'its exchange')
    .argument('<type>', 'what happened, its routing key')
    .option('-d, --data <json>', `its payload: ${DATA}`, '{}')
    .option('-k, --key <id>', "the aggregate's id: events of one key are handled in order")
    .option('-t, --timeout <seconds>', 'how long to wait for the broker', duration);
  add('watch', 'print what passes an exchange', async () => (await import('./watch.ts')).watch)
    .argument('<exchange>', 'one that exists')
    .argument('[pattern]', 'a routing pattern (default: #)');
}

function duration(text: string): Duration {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
  const ms = parseDuration(value, 's');
  if (ms === undefined || ms <= 0) throw new InvalidArgumentError('It must be seconds, or a duration such as 500ms.');
  return value as Duration;
}

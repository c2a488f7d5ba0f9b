import type { WatchedMessage } from '../../message/watched.ts';
import { bodyFields } from '../body-fields.ts';
import type { CommandContext } from '../context.ts';
import { patientOutput } from '../output.ts';
import { printable } from '../printable.ts';

/** Prints what passes an exchange until a signal, or until whoever reads it has gone: one JSON object a line, or for people. */
export async function watch(context: CommandContext, exchange: string, pattern: string | undefined): Promise<0 | 1> {
  // `svc-comm watch … | head`
  process.stdout.once('error', () => process.exit(0));
  const write = context.options.json ? jsonLine : readableLine;
  const print = patientOutput(process.stdout);
  const onMessage = (message: WatchedMessage) => print(`${write(message)}\n`);
  const settings = await context.loadSettings();
  const logger = await context.createLogger('cli', settings);
  const { createService } = await import('../../assemble.ts');
  const { runService } = await import('../run-service.ts');
  const service = createService(settings, { logger });
  const readyText = `watching exchange ${exchange}, pattern ${pattern ?? '#'}; consumers miss nothing by it`;
  const watching = service.watch({ exchange, pattern, onMessage });
  return runService(watching, { logger, settings, readyText, close: () => service.close() });
}

function jsonLine({ exchange, routingKey, properties, body }: WatchedMessage): string {
  const { headers = {}, ...others } = properties;
  const seen = { time: new Date().toISOString(), exchange, routingKey };
  return JSON.stringify({ ...seen, properties: others, headers, ...bodyFields(body) });
}

function readableLine({ routingKey, properties, body: bytes }: WatchedMessage): string {
  const { body, bodyKind } = bodyFields(bytes);
  const text = bodyKind === 'json' ? JSON.stringify(body) : String(body);
  const from = [properties.appId, properties.messageId].filter((part) => part !== undefined).join(' ');
  return printable(`${new Date().toISOString()}  ${routingKey || '(no routing key)'}  ${from || '-'}\n  ${text}`);
}

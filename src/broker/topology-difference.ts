import type { TopologyDifference } from '../errors.ts';
import { brokerText, REPLY, replyCode } from './amqp-error.ts';
import type { Declaration, QueueDeclaration } from './declarations.ts';

/**
 * The texts of a 406, as RabbitMQ 3.10 words them:
 *   inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '2000' but current is '1000'
 *   inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received the value 'quorum' of type 'longstr' but current is none
 */
const INEQUIVALENT = /inequivalent arg '([^']*)' for .*: received (.+) but current is (.+)$/s;
const VALUE = /^(?:the value )?'(.*?)'(?: of type '\w+')?$/s;

/** What the broker said against a declaration, as a line that a reader can act upon. */
export function differenceOf(declaration: Declaration, error: unknown): TopologyDifference {
  const what = `${declaration.kind} "${declaration.name}"`;
  const text = brokerText(error);
  const inequivalent = INEQUIVALENT.exec(text);
  if (inequivalent) {
    const [, argument = '', wanted = '', found = ''] = inequivalent;
    return {
      what,
      wanted: `${argument} = ${plainValue(wanted) || "''"}`,
      found: `${argument} = ${plainValue(found) || "''"}`,
      todo: remedy(declaration),
    };
  }
  switch (replyCode(error)) {
    case REPLY.notFound:
      return { what, wanted: 'it', found: 'nothing', todo: "declare it, or set declare to 'create'" };
    case REPLY.accessRefused:
      return {
        what,
        wanted: 'the permission to declare it',
        found: text,
        todo: "grant the user configure permission on it, or have it declared by somebody else and set declare to 'verify' or 'none'",
      };
    case REPLY.resourceLocked:
      return {
        what,
        wanted: 'a queue for all',
        found: text,
        todo: 'stop the connection that has it for itself, or use another name',
      };
    default:
      return { what, wanted: 'a valid declaration', found: text, todo: 'mend the settings that it is declared from' };
  }
}

/**
 * The same queue with the argument as the broker has it: declared once more, it brings up the next difference, since
 * the broker names only one at a time. undefined when there is nothing to adopt.
 */
export function withFound(declaration: Declaration, error: unknown): QueueDeclaration | undefined {
  const [, argument = '', , found = ''] = INEQUIVALENT.exec(brokerText(error)) ?? [];
  if (declaration.kind !== 'queue' || !argument.startsWith('x-')) return undefined;
  const { [argument]: wanted, ...others } = declaration.arguments;
  if (found === 'none') return wanted === undefined ? undefined : { ...declaration, arguments: others };
  const value = typedValue(plainValue(found), typeof wanted);
  return value === wanted ? undefined : { ...declaration, arguments: { ...others, [argument]: value } };
}

function typedValue(text: string, wantedType: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  return wantedType !== 'string' && /^-?\d+$/.test(text) ? Number(text) : text;
}

function plainValue(text: string): string {
  return VALUE.exec(text)?.[1] ?? text;
}

function remedy({ kind, name }: Declaration): string {
  return kind === 'queue'
    ? 'set queue to what is there, or stop all its consumers, old ones too, and what publishes to it, ' +
        `empty "${name}", delete it, and start the consumers first`
    : `name its type in exchanges, or delete "${name}" and start again`;
}

import type { ConsumedMessage, MessageContent, SentMessage } from '../../router/message-catalogue.ts';
import { exampleOf } from '../example.ts';
import { type Html, html } from '../html.ts';
import { anchor } from './anchor.ts';
import { block, chip, fields, folded, json, prose, rowsOf } from './parts.ts';

const CONTENT: Readonly<Record<ConsumedMessage['kind'], string>> = {
  event: 'Payload',
  command: 'Arguments',
  call: 'Question',
  'call-response': 'Answer',
  raw: 'Body',
};

/** A message that is taken. */
export const consumedItem = (message: ConsumedMessage): Html =>
  messageItem(
    message,
    'takes',
    html`<p class="hint">Taken by <code>${message.handler}</code>${
      message.file !== undefined && html` <span class="file">${message.file}</span>`
    }</p>`,
  );

/** A message that is given. */
export const sentItem = (message: SentMessage): Html =>
  messageItem(
    message,
    'gives',
    message.isSeen ? html`<p class="hint">Seen to be sent by this process.</p>` : undefined,
  );

export const messageAnchor = (direction: 'takes' | 'gives', { kind, exchange, routingKey }: Named): string =>
  anchor(direction, kind, exchange ?? '', routingKey);

type Named = Pick<ConsumedMessage, 'kind' | 'exchange' | 'routingKey'>;

function messageItem(message: Named & MessageContent, direction: 'takes' | 'gives', note: Html | undefined): Html {
  const { kind, exchange, routingKey, description, schema, output } = message;
  const shown = messageAnchor(direction, message);
  return html`<article class="item" id="${shown}">
<header><h3><a href="#${shown}">${messageName(message)}</a></h3><p class="route">${chip(direction, direction)} ${chip(kind)} <span class="names">${
    exchange === undefined ? 'every exchange' : html`exchange <code>${exchange}</code>`
  }, routing key <code>${routingKey}</code></span></p></header>
${prose(description)}
${note}
${content(CONTENT[kind], schema)}
${kind === 'call' && content('Answer', output)}
</article>`;
}

/** Events by their type; of a queue that takes everything, by what is taken. */
export const messageName = ({ exchange, routingKey }: Named): string =>
  [exchange ?? 'every exchange', routingKey].filter((part) => part !== '').join(' · ');

function content(heading: string, schema: MessageContent['schema']): Html | undefined {
  if (!schema) return undefined;
  const rows = rowsOf(schema);
  return html`${rows && block(heading, fields(rows))}${json(`Example: ${heading.toLowerCase()}`, exampleOf(schema))}${folded(`JSON Schema: ${heading.toLowerCase()}`, json('JSON Schema', schema))}`;
}

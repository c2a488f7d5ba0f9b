import type { JsonSchema } from '../../message/json-schema.ts';
import { exampleOf } from '../example.ts';
import { type Html, html } from '../html.ts';
import { isObject, typeText } from './parts.ts';

export interface TryForm {
  /** Of the page's element ids. */
  readonly id: string;
  readonly kind: 'task' | 'process';
  readonly name: string;
  /** What it is sent to. */
  readonly url: string;
  /** Where its state is asked for, by the id at the end. */
  readonly stateUrl: string;
  readonly schema: JsonSchema;
}

/**
 * A form that a script makes useful: it sends the body as JSON. Hidden until that runs, since without it nothing here
 * could be sent.
 */
export const tryForm = (form: TryForm): Html => {
  const { id, kind, name, url, stateUrl, schema } = form;
  const { properties } = schema;
  const isFieldwise = isObject(properties) && schema.additionalProperties !== true;
  return html`<form class="try" hidden data-kind="${kind}" data-url="${url}" data-state-url="${stateUrl}" aria-label="Try ${name}">
<h4>Try it</h4>
${isFieldwise ? Object.entries(properties).map(([key, part], index) => control(`${id}.${index}`, key, part, schema)) : wholeBody(id, schema)}
<div class="actions"><button type="submit">Run <span class="visually-hidden">${name}</span></button><span class="state" role="status"></span></div>
<div class="answer" hidden></div>
</form>`;
};

function control(id: string, name: string, part: unknown, { required }: JsonSchema): Html {
  const schema = isObject(part) ? part : {};
  const isRequired = Array.isArray(required) && required.includes(name);
  const { description } = schema;
  const hint = typeof description === 'string' && description !== '' ? description : undefined;
  const described = hint === undefined ? undefined : html` aria-describedby="${id}.hint"`;
  return html`<div class="field"><label for="${id}"><code>${name}</code> <span class="type">${typeText(schema)}${
    isRequired ? ', required' : undefined
  }</span></label>${input(id, name, schema, described)}${
    hint === undefined ? undefined : html`<span class="hint" id="${id}.hint">${hint}</span>`
  }</div>`;
}

const INPUTS: Readonly<Record<string, string>> = { date: 'date', email: 'email', uri: 'url' };

function input(id: string, name: string, schema: JsonSchema, described: Html | undefined): Html {
  const { type, format, enum: choices, default: value } = schema;
  const common = html`id="${id}" data-name="${name}"${described}`;
  const options = Array.isArray(choices) ? choices : type === 'boolean' ? [true, false] : undefined;
  if (options) {
    return html`<select ${common} data-type="json"><option value=""></option>${options.map(
      (option) =>
        html`<option value="${JSON.stringify(option)}"${option === value ? html` selected` : undefined}>${String(option)}</option>`,
    )}</select>`;
  }
  const shown = placeholder(schema);
  if (type === 'integer' || type === 'number') {
    const step = type === 'integer' ? '1' : 'any';
    return html`<input ${common} data-type="number" type="number" step="${step}" placeholder="${shown}" value="${value === undefined ? '' : String(value)}">`;
  }
  if (type === 'string') {
    // An input of one line takes the line ends out of its value; the parser the first one out of a textarea.
    if (typeof value === 'string' && /[\r\n]/.test(value)) {
      return html`<textarea ${common} data-type="text" rows="5" placeholder="${shown}">${`\n${value}`}</textarea>`;
    }
    const kind = (typeof format === 'string' ? INPUTS[format] : undefined) ?? 'text';
    return html`<input ${common} data-type="text" type="${kind}" placeholder="${shown}" value="${typeof value === 'string' ? value : ''}" autocomplete="off">`;
  }
  return html`<textarea ${common} data-type="json" rows="3" spellcheck="false" placeholder="${shown}">${
    value === undefined ? '' : JSON.stringify(value)
  }</textarea>`;
}

/** A whole body, where the schema has no fields to ask for. */
const wholeBody = (id: string, schema: JsonSchema): Html =>
  html`<div class="field"><label for="${id}.body">Body <span class="type">JSON</span></label><textarea id="${id}.body" data-type="body" rows="5" spellcheck="false">${JSON.stringify(
    exampleOf(schema) ?? {},
    null,
    2,
  )}</textarea></div>`;

/** What could be written here. A default stands in the field itself. */
const placeholder = ({ default: _, ...schema }: JsonSchema): string => {
  const example = exampleOf(schema);
  return typeof example === 'string' ? example : example === null ? '' : JSON.stringify(example);
};

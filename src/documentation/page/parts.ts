import type { JsonSchema } from '../../message/json-schema.ts';
import { type Html, type HtmlValue, html } from '../html.ts';

/** What all sections of the page are made of. */
export const chip = (text: string, kind = ''): Html => html`<span class="chip ${kind}">${text}</span>`;

export const prose = (text: string): Html | undefined => (text === '' ? undefined : html`<p class="prose">${text}</p>`);

/** Scrolls by keyboard too, when it is wider than the screen. A group: of landmarks a page has few, each with its own name. */
export const code = (label: string, text: string): Html =>
  html`<figure class="code"><figcaption>${label}</figcaption><pre tabindex="0" role="group" aria-label="${label}"><code>${text}</code></pre></figure>`;

export const json = (label: string, value: unknown): Html => code(label, JSON.stringify(value, null, 2) ?? 'null');

export const folded = (summary: string, content: HtmlValue): Html =>
  html`<details><summary>${summary}</summary>${content}</details>`;

export const block = (heading: string, content: HtmlValue): Html =>
  html`<section class="block"><h4>${heading}</h4>${content}</section>`;

export const list = (items: readonly HtmlValue[]): Html =>
  html`<ul>${items.map((item) => html`<li>${item}</li>`)}</ul>`;

/** Titles of tests. */
export const behaviours = (titles: readonly string[]): Html | undefined =>
  titles.length === 0
    ? undefined
    : block('Behaviours', html`<ul class="behaviours">${titles.map((title) => html`<li>${title}</li>`)}</ul>`);

export interface FieldRow {
  readonly name: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly description: string;
  readonly default?: unknown;
  readonly choices?: readonly unknown[] | undefined;
}

export const fields = (rows: readonly FieldRow[]): Html =>
  rows.length === 0
    ? html`<p class="none">None.</p>`
    : html`<dl class="fields">${rows.map(
        (row) =>
          html`<div><dt><code>${row.name}</code> <span class="type">${row.type}</span>${
            row.isRequired ? chip('required', 'required') : undefined
          }</dt><dd>${row.description}${
            row.choices && row.choices.length > 0
              ? html` <span class="hint">One of ${row.choices.map((choice) => JSON.stringify(choice)).join(', ')}.</span>`
              : undefined
          }${
            row.default === undefined
              ? undefined
              : html` <span class="hint">Default ${JSON.stringify(row.default)}.</span>`
          }</dd></div>`,
      )}</dl>`;

const DEEPEST = 4;

/** The members of an object's schema, those of objects inside by dotted names; undefined when it is none. */
export function rowsOf(schema: JsonSchema | undefined, prefix = '', depth = 0): FieldRow[] | undefined {
  const properties = schema?.properties;
  if (!isObject(properties)) return undefined;
  const required: readonly unknown[] = Array.isArray(schema?.required) ? schema.required : [];
  return Object.entries(properties).flatMap(([key, part]) => {
    const property = isObject(part) ? part : {};
    const name = `${prefix}${key}`;
    const { description, enum: choices } = property;
    const row: FieldRow = {
      name,
      type: typeText(property),
      isRequired: required.includes(key),
      description: typeof description === 'string' ? description : '',
      ...('default' in property ? { default: property.default } : {}),
      ...(Array.isArray(choices) ? { choices } : {}),
    };
    return [row, ...(depth < DEEPEST ? (rowsOf(property, `${name}.`, depth + 1) ?? []) : [])];
  });
}

/** `string`, `integer | null`, `string (date)`, `list of number`. */
export function typeText({ type, format, items, enum: choices, anyOf, oneOf, const: only }: JsonSchema): string {
  if (only !== undefined) return JSON.stringify(only);
  if (Array.isArray(type)) return type.join(' | ');
  const options = anyOf ?? oneOf;
  if (type === undefined && Array.isArray(options)) {
    return [...new Set(options.map((option) => (isObject(option) ? typeText(option) : 'anything')))].join(' | ');
  }
  if (type === 'array') return isObject(items) ? `list of ${typeText(items)}` : 'list';
  if (typeof type !== 'string') return Array.isArray(choices) ? 'choice' : 'anything';
  return typeof format === 'string' ? `${type} (${format})` : type;
}

export const isObject = (value: unknown): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

import { argumentsSchema } from '../../task/arguments-schema.ts';
import type { TaskDefinition } from '../../task/definition.ts';
import { exampleOf } from '../example.ts';
import { type Html, html } from '../html.ts';
import type { DocumentedTask, TryOut } from '../model.ts';
import { anchor } from './anchor.ts';
import { curl } from './curl.ts';
import { tryForm } from './form.ts';
import { behaviours, block, chip, fields, folded, json, prose, rowsOf } from './parts.ts';
import { durationText } from './process-item.ts';

/** A task: its arguments, its limits, and what its tests say of it. */
export function taskItem({ definition, behaviours: titles }: DocumentedTask, tryOut: TryOut | undefined): Html {
  const { name, description, env } = definition;
  const schema = argumentsSchema(definition);
  const prefix = tryOut?.tasks;
  const url = `${prefix ?? ''}/${encodeURIComponent(name)}`;
  const shown = anchor('task', name);
  return html`<article class="item" id="${shown}">
<header><h3><a href="#${shown}">${name}</a></h3><p class="route">${
    (tryOut === undefined || prefix !== undefined) && html`<span class="method">POST</span> <code>${url}</code> `
  }${limits(definition).map((limit) => chip(limit))}</p></header>
${prose(description)}
${block('Arguments', fields(rowsOf(schema) ?? []))}
${env.length > 0 && block('Environment variables', html`<p><code>${env.join(', ')}</code></p>`)}
${behaviours(titles)}
${prefix !== undefined && tryForm({ id: `try.${shown}`, kind: 'task', name, url, stateUrl: `${prefix}/task/info`, schema })}
${(tryOut === undefined || prefix !== undefined) && folded('Request', curl(tryOut?.origin, url, exampleOf(schema) ?? {}))}
${folded('JSON Schema of the arguments', json('JSON Schema', schema))}
</article>`;
}

function limits({ maxConcurrency, timeoutMs, attempts, onFull }: TaskDefinition): string[] {
  const full = onFull === 'queue' ? 'others wait' : 'others are refused';
  return [
    ...(maxConcurrency > 0 ? [`${maxConcurrency} at once, ${full}`] : []),
    `ended after ${durationText(timeoutMs)}`,
    ...(attempts > 1 ? [`${attempts} attempts`] : []),
  ];
}

import type { AsyncStepDescription, StepDescription } from '../../process/description.ts';
import { exampleOf } from '../example.ts';
import { type Html, html } from '../html.ts';
import type { DocumentedProcess, TryOut } from '../model.ts';
import { anchor } from './anchor.ts';
import { curl } from './curl.ts';
import { tryForm } from './form.ts';
import { behaviours, block, chip, fields, folded, json, list, prose } from './parts.ts';

/** A business process: what it takes, what must hold, what it does. */
export function processItem({ process, behaviours: titles }: DocumentedProcess, tryOut: TryOut | undefined): Html {
  const { id, name, description, tags, input, validations, tasksSync, tasksAsync } = process;
  const url = `${tryOut?.processes ?? ''}/${encodeURIComponent(id)}`;
  const shown = anchor('process', id);
  return html`<article class="item" id="${shown}">
<header><h3><a href="#${shown}">${name}</a></h3><p class="route"><span class="method">POST</span> <code>${url}</code> ${tags.map((tag) => chip(tag))}</p></header>
${prose(description)}
${block('Fields', fields(process.fields))}
${validations.length > 0 && block('Must hold', list(validations.map(step)))}
${tasksSync.length > 0 && block('Does at once', html`<ol>${tasksSync.map((task) => html`<li>${step(task)}</li>`)}</ol>`)}
${tasksAsync.length > 0 && block('Does later', list(tasksAsync.map(asyncStep)))}
${behaviours(titles)}
${tryOut?.processes !== undefined && tryForm({ id: `try.${shown}`, kind: 'process', name, url, stateUrl: url, schema: input })}
${folded('Request', curl(tryOut?.origin, url, exampleOf(input)))}
${folded('JSON Schema of the body', json('JSON Schema', input))}
</article>`;
}

const step = ({ name, description, args, env }: StepDescription): Html =>
  html`<code>${name}</code>${args.length > 0 && html`<code class="args">(${args.map((arg) => JSON.stringify(arg)).join(', ')})</code>`}${
    description !== '' && html` <span class="hint">${description}</span>`
  }${env.length > 0 && html` <span class="hint">Needs ${env.join(', ')}.</span>`}`;

const asyncStep = (task: AsyncStepDescription): Html => html`${step(task)} ${chip(whenText(task.when))}`;

function whenText(when: AsyncStepDescription['when']): string {
  switch (when.kind) {
    case 'now':
      return 'as soon as a worker is free';
    case 'delay':
      return `after ${durationText(when.ms)}`;
    case 'at':
      return 'at a time of its input';
  }
}

const UNITS = [
  [86_400_000, 'day'],
  [3_600_000, 'hour'],
  [60_000, 'minute'],
  [1000, 'second'],
] as const;

/** In the largest unit that it is a whole number of. */
export function durationText(ms: number): string {
  for (const [size, name] of UNITS) {
    if (ms >= size && ms % size === 0) return ms === size ? `1 ${name}` : `${ms / size} ${name}s`;
  }
  return `${ms} ms`;
}

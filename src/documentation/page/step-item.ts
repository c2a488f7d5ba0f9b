import { type Html, html } from '../html.ts';
import type { DocumentedStep } from '../model.ts';
import { anchor } from './anchor.ts';
import { behaviours, block, chip, prose } from './parts.ts';

export const stepAnchor = ({ kind, name }: DocumentedStep): string => anchor('step', kind, name);

/** What a process can name: a validation or a task. */
export function stepItem(step: DocumentedStep): Html {
  const { kind, name, description, env, behaviours: titles } = step;
  const shown = stepAnchor(step);
  return html`<article class="item" id="${shown}">
<header><h3><a href="#${shown}"><code>${name}</code></a> ${chip(kind)}</h3></header>
${prose(description)}
${env.length > 0 && block('Environment variables', html`<p><code>${env.join(', ')}</code></p>`)}
${behaviours(titles)}
</article>`;
}

import type { ConsumedMessage } from '../../router/message-catalogue.ts';
import { type Html, html } from '../html.ts';
import type { Documentation } from '../model.ts';
import { anchor } from './anchor.ts';
import { consumedItem, messageAnchor, messageName, sentItem } from './message-item.ts';
import { processItem } from './process-item.ts';
import { stepAnchor, stepItem } from './step-item.ts';
import { taskItem } from './task-item.ts';

interface Item {
  readonly id: string;
  readonly name: string;
  readonly content: Html;
}

interface Section {
  readonly id: string;
  readonly heading: string;
  readonly lead: string;
  readonly items: readonly Item[];
  /** Said when there is nothing; undefined: the section is left out then. */
  readonly none?: string;
}

/** What everything is allowed to load: files of this server. No script, style or address that a text could smuggle in. */
export const PAGE_CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The page for people, whole without a script: that only makes the forms useful. */
export function documentationPage(documentation: Documentation): string {
  const { title, version, description, links, tryOut } = documentation;
  const sections = sectionsOf(documentation);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} ${version}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${links.style}">
${links.script !== undefined && html`<script src="${links.script}" defer></script>`}
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header class="top">
<p class="brand">${title} <span class="version">${version}</span></p>
<nav aria-label="Documents">${documents(links)}</nav>
</header>
<div class="layout">
<nav class="contents" aria-label="Contents"><details open><summary>Contents</summary>
<label class="filter" hidden><span class="visually-hidden">Filter by name</span><input type="search" placeholder="Filter" autocomplete="off"></label>
${sections.map((section) => contents(section))}
</details></nav>
<main id="content" tabindex="-1">
<h1>${title}</h1>
${description !== undefined && description !== '' && html`<p class="lead">${description}</p>`}
${tryOut?.isSecured && tokenField}
${sections.map((section) => sectionHtml(section))}
<footer><p>Written by svc-comm from what is registered: nothing on this page was kept by hand.</p></footer>
</main>
</div>
</body>
</html>
`;
  return page.text;
}

const documents = ({ openApi, asyncApi, reference }: Documentation['links']): Html => html`<ul>
${reference !== undefined && html`<li><a href="${reference}">API reference</a></li>`}
${openApi !== undefined && html`<li><a href="${openApi}">OpenAPI</a></li>`}
<li><a href="${asyncApi}">AsyncAPI</a></li>
</ul>`;

/** Kept in the page alone: what is typed here is gone with it. */
const tokenField = html`<div class="token field" hidden><label for="token">Token</label><input id="token" type="password" autocomplete="off"><span class="hint">Sent with what you try on this page, and kept nowhere.</span></div>`;

const contents = ({
  id,
  heading,
  items,
}: Section): Html => html`<p class="group"><a href="#${id}">${heading}</a> <span class="count">${items.length}</span></p>
<ul>${items.map((item) => html`<li><a href="#${item.id}">${item.name}</a></li>`)}</ul>`;

const sectionHtml = ({
  id,
  heading,
  lead,
  items,
  none = '',
}: Section): Html => html`<section id="${id}" class="group" aria-labelledby="${id}.heading">
<h2 id="${id}.heading">${heading}</h2>
<p class="lead">${items.length === 0 ? none : lead}</p>
${items.map(({ content }) => content)}
</section>`;

function sectionsOf({ processes, tasks, steps, messages, tryOut }: Documentation): Section[] {
  const taken = (kinds: readonly ConsumedMessage['kind'][]): Item[] =>
    messages.consumed
      .filter(({ kind }) => kinds.includes(kind))
      .map((message) => ({
        id: messageAnchor('takes', message),
        name: messageName(message),
        content: consumedItem(message),
      }));
  const given = (kinds: readonly ConsumedMessage['kind'][]): Item[] =>
    messages.sent
      .filter(({ kind }) => kinds.includes(kind))
      .map((message) => ({
        id: messageAnchor('gives', message),
        name: messageName(message),
        content: sentItem(message),
      }));
  const sections: Section[] = [
    {
      id: 'processes',
      heading: 'Processes',
      lead: 'Each request creates an instance: when all that must hold does, the first tasks run before the answer, the others after it.',
      none: 'No process is registered.',
      items: processes.map((one) => ({
        id: anchor('process', one.process.id),
        name: one.process.name,
        content: processItem(one, tryOut),
      })),
    },
    {
      id: 'tasks',
      heading: 'Tasks',
      lead: 'Each run has a process of its own.',
      none: 'No task is registered.',
      items: tasks.map((one) => ({
        id: anchor('task', one.definition.name),
        name: one.definition.name,
        content: taskItem(one, tryOut),
      })),
    },
    {
      id: 'steps',
      heading: 'Steps',
      lead: 'Validations and tasks that a process can call by their names.',
      items: steps.map((step) => ({ id: stepAnchor(step), name: step.name, content: stepItem(step) })),
    },
    {
      id: 'events',
      heading: 'Events',
      lead: 'What happened: taken from others, given to whoever listens.',
      items: [...taken(['event']), ...given(['event'])],
    },
    {
      id: 'commands',
      heading: 'Commands',
      lead: 'What is to be done, without an answer.',
      items: [...taken(['command']), ...given(['command'])],
    },
    {
      id: 'calls',
      heading: 'Calls',
      lead: 'Questions that are answered.',
      items: [...taken(['call', 'call-response']), ...given(['call'])],
    },
    { id: 'others', heading: 'Other messages', lead: 'Taken as they are.', items: taken(['raw']) },
  ];
  return sections.filter(({ items, none }) => items.length > 0 || none !== undefined);
}

import type { Figures } from './audit.ts';
import { SCENARIO } from './scenario.ts';

export interface Finding {
  readonly figure: string;
  readonly seen: number;
  readonly wanted: number;
}

export interface DemoReport {
  readonly ok: boolean;
  readonly figures: Figures;
  readonly findings: readonly Finding[];
}

/** What the figures must be, from the scenario and from each other. */
export function judge(figures: Figures): DemoReport {
  const rolledBack = Math.floor(SCENARIO.orders / SCENARIO.rollBackEvery);
  const written = SCENARIO.orders - rolledBack;
  const published = written + 1;
  const findings: Finding[] = [
    { figure: 'written', seen: figures.written, wanted: written },
    { figure: 'rolled back', seen: figures.rolledBack, wanted: rolledBack },
    { figure: 'published', seen: figures.published, wanted: published },
    { figure: 'handled', seen: figures.handled, wanted: published - 1 },
    { figure: 'retried', seen: figures.retried, wanted: SCENARIO.attempts - 1 + SCENARIO.attempts },
    { figure: 'dead-lettered', seen: figures.deadLettered, wanted: 1 },
    { figure: 'delivered twice', seen: figures.copies, wanted: Math.floor(published / SCENARIO.copyEvery) },
    { figure: 'still planned', seen: figures.planned, wanted: 0 },
    { figure: 'reminded', seen: figures.reminded.length, wanted: 1 },
    { figure: 'ghosts', seen: figures.ghosts, wanted: 0 },
    { figure: 'duplicates', seen: figures.duplicates, wanted: 0 },
    { figure: 'lost', seen: figures.lost, wanted: 0 },
  ];
  const reminded = figures.reminded.every((order) => order === SCENARIO.reminded.order);
  return { ok: reminded && findings.every(({ seen, wanted }) => seen === wanted), figures, findings };
}

const MEANINGS: Readonly<Record<string, string>> = {
  written: 'orders in the shop’s table',
  'rolled back': 'orders whose transaction failed: ids that were drawn and left',
  published: 'different messages that the broker routed: an event for each order, and a reminder',
  handled: 'shipments and reminders in the other service’s tables',
  retried: 'runs that failed: two of the jammed order, three of the one that nobody can ship',
  'dead-lettered': 'messages in the dead letters',
  'delivered twice': 'copies of messages, as after a relay’s death',
  'still planned': 'future events; one was published, one cancelled',
  reminded: 'customers: the one, not the one whose reminder was cancelled',
  ghosts: 'shipments of orders that do not exist',
  duplicates: 'shipments beyond the first of an order',
  lost: 'orders that nobody has heard of',
};

/** The table at the end. */
export function reportText({ ok, findings }: DemoReport): string {
  const rows = findings.map(({ figure, seen, wanted }) => {
    const verdict = seen === wanted ? 'ok   ' : `WRONG (${wanted} wanted)`;
    return `  ${figure.padEnd(16)}${String(seen).padStart(4)}  ${verdict}  ${MEANINGS[figure] ?? ''}`;
  });
  const sum = ok
    ? 'Every order had its one effect, whatever failed, came twice or was taken back.'
    : 'The figures do not agree.';
  return ['', ...rows, '', sum].join('\n');
}

import type { Considered, Explanation } from './explain.ts';
import { describeOrigin, type Route } from './route.ts';

/** Routes for other messages that are listed; the rest is counted. */
const OTHERS_SHOWN = 10;

/** An explanation as lines for people; without a line break at the end. */
export function explanationText({ exchange, routingKey, taken, considered }: Explanation): string {
  const lines = [`exchange ${JSON.stringify(exchange)}, routing key ${JSON.stringify(routingKey)}`];
  lines.push(taken ? `→ ${describeOrigin(taken)}` : '→ no consumer takes it');
  const others = considered.filter(({ verdict }) => verdict === 'differs');
  const shown = new Set(others.slice(0, OTHERS_SHOWN));
  for (const one of considered) if (one.verdict !== 'differs' || shown.has(one)) lines.push(line(one));
  if (others.length > shown.size) lines.push(`    and ${others.length - shown.size} more that do not match`);
  return lines.join('\n');
}

const SIGN = { taken: '✓', next: '·', differs: '✗' } as const;

const line = ({ route, verdict, why }: Considered): string =>
  `  ${SIGN[verdict]} ${selectorText(route)} (${route.kind}) ${describeOrigin(route)}: ${why}`;

function selectorText({ level, pattern }: Route): string {
  if (pattern !== undefined) return JSON.stringify(pattern);
  return level === 'exchange' ? 'whole exchange' : level === 'any' ? 'every exchange' : 'default';
}

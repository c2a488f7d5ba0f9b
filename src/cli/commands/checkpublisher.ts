import type { Backlog } from '../../outbox/backlog.ts';
import type { CommandContext } from '../context.ts';
import { PATIENCE } from '../patience.ts';

export interface CheckOptions {
  /** Most events that may wait. */
  readonly maxQueueSize: number;
  /** Longest time that one may wait, from when it is due, in seconds. */
  readonly maxDelay: number;
}

/**
 * Health check of publishing, from the tables alone: it finds a relay that is down as well as one that cannot keep up.
 * @returns 1 when more events wait, or one waits longer, than the options allow
 */
export async function checkpublisher(context: CommandContext, options: CheckOptions): Promise<0 | 1> {
  const settings = await context.loadSettings(PATIENCE);
  const logger = await context.createLogger('cli', settings);
  const { createService } = await import('../../assemble.ts');
  const { closeSoon } = await import('../run-service.ts');
  const service = createService(settings, { logger });
  try {
    const backlog = await service.backlog();
    const problems = problemsOf(backlog, options);
    context.print({ healthy: problems.length === 0, problems, ...backlog, ...options }, textOf(backlog, problems));
    return problems.length === 0 ? 0 : 1;
  } finally {
    await closeSoon(() => service.close());
  }
}

/** Events that are due: those of the outbox, and future ones whose time has come. */
export function problemsOf(backlog: Backlog, { maxQueueSize, maxDelay }: CheckOptions): string[] {
  const waiting = backlog.rows + backlog.futureDue;
  const problems: string[] = [];
  if (waiting > maxQueueSize) problems.push(`${waiting} events wait, more than ${maxQueueSize} (--max-queue-size)`);
  if (backlog.oldestMs > maxDelay * 1000) {
    problems.push(`the oldest waits for ${seconds(backlog.oldestMs)}, longer than ${maxDelay} s (--max-delay)`);
  }
  return problems;
}

function textOf(
  { rows, oldestMs, failing, lastError, future, futureDue, relays }: Backlog,
  problems: string[],
): string {
  const refused = lastError === undefined ? '' : `, the last: ${lastError}`;
  const lines = [
    `waiting    ${rows + futureDue}${oldestMs > 0 ? `, the oldest for ${seconds(oldestMs)}` : ''}`,
    `refused    ${failing}${refused}`,
    `future     ${future}`,
    `relays     ${relays}${relays === 0 ? ': none runs, start `svc-comm runpublisher`' : ''}`,
    ...(problems.length === 0 ? ['healthy'] : problems.map((problem) => `unhealthy: ${problem}`)),
  ];
  return lines.join('\n');
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

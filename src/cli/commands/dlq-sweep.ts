import type { DeadLetters } from '../../dead-letters/dead-letters.ts';
import type { SweepOptions, SweepResult } from '../../dead-letters/sweep.ts';
import { UsageError } from '../../errors.ts';
import { STOP_SIGNALS } from '../../lifecycle/signals.ts';
import { ask, canAsk } from '../ask.ts';
import type { CommandContext } from '../context.ts';
import { type FilterOptions, filterOf, withDeadLetters } from './dlq-service.ts';

interface TakeOptions extends FilterOptions {
  readonly limit?: number;
  readonly dryRun?: boolean;
}

export interface RedriveOptions extends TakeOptions {
  readonly rate?: number;
  readonly force?: boolean;
}

export interface DropOptions extends TakeOptions {
  readonly yes?: boolean;
}

export function redrive(context: CommandContext, options: RedriveOptions): Promise<0 | 1> {
  return withDeadLetters(context, async (deadLetters) => {
    const result = await sweep(context, (more) =>
      deadLetters.redrive({ ...sweepOptions(options), perSecond: options.rate, force: options.force, ...more }),
    );
    return report(context, options, result, 'redriven');
  });
}

/** Asks on a terminal. @throws UsageError (SVC_COMM_USAGE) elsewhere, without `--yes` */
export async function drop(context: CommandContext, options: DropOptions): Promise<0 | 1> {
  const isAsking = !options.yes && !options.dryRun;
  if (isAsking && !canAsk()) {
    throw new UsageError('what is dropped cannot be brought back: say --yes, or look first with --dry-run');
  }
  return withDeadLetters(context, async (deadLetters) => {
    if (isAsking && !(await agrees(deadLetters, options))) return 1;
    const result = await sweep(context, (more) => deadLetters.drop({ ...sweepOptions(options), ...more }));
    return report(context, options, result, 'dropped');
  });
}

const sweepOptions = (options: TakeOptions): SweepOptions => ({
  filter: filterOf(options),
  limit: options.limit,
  dryRun: options.dryRun,
});

async function agrees(deadLetters: DeadLetters, options: DropOptions): Promise<boolean> {
  const { taken } = await deadLetters.drop({ ...sweepOptions(options), dryRun: true });
  return ask(`drop ${taken} dead letters for good?`);
}

type More = Pick<SweepOptions, 'signal' | 'onProgress'>;

/** The first signal stops it, with what is under way finished; the second ends the process. Both lose nothing. */
async function sweep(
  { options: { json } }: CommandContext,
  run: (more: More) => Promise<SweepResult>,
): Promise<SweepResult & { readonly wasStopped: boolean }> {
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  for (const signal of STOP_SIGNALS) process.once(signal, onSignal);
  const isShown = process.stderr.isTTY && !json;
  let shownMs = 0;
  const onProgress = (taken: number, waiting: number) => {
    if (!isShown || performance.now() - shownMs < 100) return;
    shownMs = performance.now();
    process.stderr.write(`\r${taken} of at most ${waiting}`);
  };
  try {
    return { ...(await run({ signal: stop.signal, onProgress })), wasStopped: stop.signal.aborted };
  } finally {
    if (isShown && shownMs > 0) process.stderr.write('\r\u001b[K');
    for (const signal of STOP_SIGNALS) process.off(signal, onSignal);
  }
}

function report(
  context: CommandContext,
  { dryRun = false }: TakeOptions,
  result: SweepResult & { readonly wasStopped: boolean },
  verb: 'redriven' | 'dropped',
): 0 | 1 {
  const { taken, heldBack, refused, lastRefusal, unparked, isComplete, wasStopped } = result;
  const lines = [
    dryRun ? `${taken} would be ${verb}` : `${taken} ${verb}`,
    ...(heldBack > 0 ? [`${heldBack} stay behind an earlier dead letter of their key: take that one first`] : []),
    ...(refused > 0 ? [`${refused} stay because they cannot be sent; the last: ${lastRefusal}`] : []),
    ...(unparked > 0 ? [`${unparked} keys are handled again`] : []),
    ...(wasStopped ? ['stopped before the end: run it again for the rest'] : []),
    ...(!wasStopped && !isComplete ? ['there are more than can be looked past: narrow it less, or run it again'] : []),
  ];
  context.print({ [verb]: taken, dryRun, heldBack, refused, lastRefusal, unparked, isComplete }, lines.join('\n'));
  return refused > 0 || !isComplete ? 1 : 0;
}

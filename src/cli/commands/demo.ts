import type { Sabotage } from '../../demo/scenario.ts';
import type { CommandContext } from '../context.ts';

export interface DemoCommandOptions {
  readonly brokerUrl?: string;
  readonly databaseUrl?: string;
  readonly sabotage?: Sabotage;
}

/** Shows two services at work. @returns 1 when the figures read back at the end do not agree */
export async function demo(context: CommandContext, options: DemoCommandOptions): Promise<0 | 1> {
  const { runDemo } = await import('../../demo/demo.ts');
  const { reportText } = await import('../../demo/report.ts');
  const { drawnStage, plainStage } = await import('../../demo/stage.ts');
  const { STOP_SIGNALS } = await import('../../lifecycle/signals.ts');
  const { silentLogger } = await import('../../lifecycle/logger.ts');
  const isDrawn = process.stdout.isTTY && !context.options.json;
  const write = (text: string) => void (context.options.json ? process.stderr : process.stdout).write(text);
  const stage = isDrawn ? drawnStage({ write }) : plainStage({ write });
  const { logLevel } = context.options;
  const logger = logLevel === undefined ? silentLogger : await context.createLogger('cli');
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  for (const signal of STOP_SIGNALS) process.once(signal, onSignal);
  try {
    const report = await runDemo(options, { stage, logger, signal: stop.signal });
    context.print(report, reportText(report));
    return report.ok ? 0 : 1;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    process.stderr.write('the demo was stopped; what it had made on the servers is taken away\n');
    return 1;
  } finally {
    for (const signal of STOP_SIGNALS) process.off(signal, onSignal);
  }
}

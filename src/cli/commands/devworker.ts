import type { CommandContext } from '../context.ts';
import { runDev } from '../dev/run-dev.ts';

export const devworker = (context: CommandContext): Promise<0 | 1> => runDev(context, 'runworker');

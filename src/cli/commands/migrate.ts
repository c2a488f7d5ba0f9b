import type { CommandContext } from '../context.ts';
import { PATIENCE } from '../patience.ts';

/** Brings the tables up to this version. */
export async function migrate(context: CommandContext): Promise<0> {
  const settings = await context.loadSettings(PATIENCE);
  const logger = await context.createLogger('migrate', settings);
  const { createService } = await import('../../assemble.ts');
  const { closeSoon } = await import('../run-service.ts');
  const service = createService(settings, { logger });
  try {
    const applied = await service.migrate();
    const text = applied.length === 0 ? 'nothing to do: the tables are up to date' : `applied: ${applied.join(', ')}`;
    context.print({ applied }, text);
    return 0;
  } finally {
    await closeSoon(() => service.close());
  }
}

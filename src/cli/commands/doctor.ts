import type { Finding } from '../../doctor/problems.ts';
import { countText } from '../../util/count-text.ts';
import { messageOf } from '../../util/thrown.ts';
import type { CommandContext } from '../context.ts';
import { printable } from '../printable.ts';

/**
 * Looks at settings, servers, queues and tables, and says what is wrong and what to do. Changes nothing.
 * @returns 1 when something is wrong; warnings leave it at 0
 */
export async function doctor(context: CommandContext): Promise<0 | 1> {
  const findings = await examineProject(context);
  const count = (wanted: Finding['status']) => findings.filter(({ status }) => status === wanted).length;
  const [wrong, warnings] = [count('wrong'), count('warning')];
  context.print({ healthy: wrong === 0, wrong, warnings, findings }, textOf(findings, wrong, warnings));
  return wrong === 0 ? 0 : 1;
}

async function examineProject(context: CommandContext): Promise<Finding[]> {
  const { ok, problem } = await import('../../doctor/problems.ts');
  const { SettingsError, NoConsumersError } = await import('../../errors.ts');
  const settings = await context.loadSettings().catch((error: unknown) => {
    if (error instanceof SettingsError) return error;
    throw error;
  });
  if (settings instanceof SettingsError) {
    return settings.problems.map(({ setting, expected, got, from }) =>
      problem('settings-wrong', `${setting}: expected ${expected}, got ${got}, from ${from}`),
    );
  }
  const level = context.options.logLevel ?? 'silent';
  const logger = await context.createLogger('cli', { ...settings, logLevel: level });
  const { createService } = await import('../../assemble.ts');
  const { messageRouter, useAsDefault } = await import('../../default-service.ts');
  const { closeSoon } = await import('../run-service.ts');
  const { loadRouter } = await import('../consumers.ts');
  const service = createService(settings, { logger, messageRouter });
  useAsDefault(service);
  try {
    const consumers = await loadRouter(settings, { preferSources: false }).then(
      (router) => ok('consumers', countText(router.routes.length, 'consumer')),
      (error: unknown) => {
        if (error instanceof NoConsumersError) return ok('consumers', `none in this project (${error.message})`);
        return problem('consumers-broken', messageOf(error));
      },
    );
    const { examineTasks } = await import('./doctor-tasks.ts');
    const tasks = await examineTasks(settings);
    const [first, ...rest] = await service.examine();
    return [...(first ? [first] : []), consumers, ...tasks, ...rest];
  } finally {
    await closeSoon(() => service.close());
  }
}

function textOf(findings: readonly Finding[], wrong: number, warnings: number): string {
  const lines = findings.flatMap(({ area, status, text, code, todo }) => {
    const head = `${status.padEnd(8)} ${area.padEnd(10)} `;
    const firstLine = `${head}${printable(text).replaceAll('\n', ' ')}${code === undefined ? '' : `  [${code}]`}`;
    return todo === undefined ? [firstLine] : [firstLine, `${' '.repeat(head.length)}→ ${todo}`];
  });
  const sum =
    wrong + warnings === 0 ? 'all is well' : `${wrong} wrong, ${warnings} to look at: see docs/troubleshooting.md`;
  return [...lines, sum].join('\n');
}

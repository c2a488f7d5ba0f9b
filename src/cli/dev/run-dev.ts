import { basename, dirname, resolve } from 'node:path';
import { group } from '../../lifecycle/group.ts';
import { runUntilSignal } from '../../lifecycle/signals.ts';
import { CONFIG_VARIABLE } from '../../settings/environment-names.ts';
import { projectRoot } from '../../settings/project.ts';
import { ownFile } from '../../util/own-files.ts';
import type { CommandContext, GlobalOptions } from '../context.ts';
import { withoutEnvFiles } from './env-files.ts';
import { ParentServers } from './parent-servers.ts';
import { Supervisor } from './supervisor.ts';
import { ProjectWatch } from './watch.ts';

const COLD_FILES: ReadonlySet<string> = new Set(['package.json', 'tsconfig.json', '.env']);

/** Runs a `run*` command in a child and replaces the child on every change, until a signal. */
export async function runDev(
  context: CommandContext,
  command: 'runconsumer' | 'runpublisher' | 'runworker' | 'dev',
): Promise<0 | 1> {
  const logger = await context.createLogger('dev');
  const named = context.options.config ?? process.env[CONFIG_VARIABLE];
  const configFile = named === undefined ? undefined : resolve(named);
  const watch = new ProjectWatch({
    root: projectRoot(configFile === undefined ? process.cwd() : dirname(configFile)),
    configFile,
    logger,
    onChange: (file) => {
      logger.info({ file }, `a file changed: starting ${command} again`);
      // A child that waits may have read these already.
      const isCold = COLD_FILES.has(basename(file));
      supervisor
        .restart({ isCold })
        .catch((error: unknown) => logger.error({ error }, `${command} was not started again`));
    },
  });
  const servers = new ParentServers(logger);
  const supervisor = new Supervisor(command, {
    module: ownFile('bin/svc-comm'),
    args: [command, '--dev-child', ...childArguments(context.options)],
    environment: withoutEnvFiles(process.env, process.execArgv),
    logger,
    onWatch: (paths) => void watch.add(paths),
    onServe: (root, kinds) => servers.serve(root, kinds),
  });
  return runUntilSignal(group(`dev ${command}`, [servers, watch, supervisor]), { logger, graceMs: 10_000 });
}

function childArguments({ config, json, wait, logLevel }: GlobalOptions): string[] {
  return [
    ...(config === undefined ? [] : ['--config', config]),
    ...(json ? ['--json'] : []),
    ...(wait ? [] : ['--no-wait']),
    ...(logLevel === undefined ? [] : ['--log-level', logLevel]),
  ];
}

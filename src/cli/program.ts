import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { UsageError } from '../errors.ts';
import type { LogLevel } from '../lifecycle/logger.ts';
import { parseDuration } from '../parse-duration.ts';
import { addDlq } from './commands/dlq-usage.ts';
import { addFuture } from './commands/future-usage.ts';
import { addMessaging } from './commands/messaging-usage.ts';
import { addProcess } from './commands/process-usage.ts';
import { addServices } from './commands/services-usage.ts';
import { addTask } from './commands/task-usage.ts';
import { type CommandContext, createContext, type GlobalOptions } from './context.ts';
import { errorReport, exitCodeOf } from './report-error.ts';
import { version } from './version.ts';

/** What a command's file exports: it returns the exit code and throws what went wrong. */
export type CommandResult = Promise<0 | 1>;
export type Action<Args extends readonly unknown[]> = (context: CommandContext, ...args: Args) => CommandResult;

/** Runs one command line. @returns the exit code */
export async function runProgram(args: readonly string[]): Promise<number> {
  let exitCode: number = 0;
  let running: string | undefined;
  const program = createProgram((name, work) => async () => {
    running = name;
    exitCode = await work(createContext(program.opts<GlobalOptions>()));
  });
  let refusing = program;
  for (const command of withSubcommands(program)) {
    command.exitOverride((error) => {
      refusing = command;
      throw error;
    });
  }
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const isJson = args.includes('--json');
    const withStack = program.opts<GlobalOptions>().logLevel === 'debug';
    const isUsage = error instanceof CommanderError;
    const shown = isUsage ? usageError(error, refusing) : error;
    const report = errorReport(shown, { command: isUsage ? pathOf(refusing) : running, isJson, withStack });
    (isJson ? process.stdout : process.stderr).write(report);
    return exitCodeOf(shown);
  }
}

type Start = (name: string, work: (context: CommandContext) => CommandResult) => () => Promise<void>;

/** Every command, its options and its texts. */
export function createProgram(start: Start): Command {
  const program = new Command('svc-comm')
    .description('Services that talk over RabbitMQ, with an outbox and an inbox in PostgreSQL.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addOption(new Option('-c, --config <file>', 'settings file, else the nearest svc-comm.config.*'))
    .addOption(new Option('--json', 'print results, errors and logs as JSON'))
    .addOption(new Option('--no-wait', 'fail when broker or database is down'))
    .addOption(new Option('--log-level <level>', `${LEVELS.slice(0, -1).join(', ')} or silent`).argParser(logLevel))
    .addOption(new Option('--dev-child').hideHelp())
    // Errors are reported by runProgram: with --json they must be objects.
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, subcommandTerm });

  /** Adds a command whose code is imported when it is run. */
  const add = <Args extends readonly unknown[]>(
    usage: string,
    description: string,
    load: () => Promise<Action<Args>>,
    parent = program,
  ): Command => {
    const command = parent.command(usage).description(description).helpOption('-h, --help', 'print this help');
    return command.action((...all: unknown[]) => {
      // Commander hands over the arguments, the command's options, and the command itself.
      const given = all.slice(0, -1) as unknown as Args;
      const name = parent === program ? command.name() : `${parent.name()} ${command.name()}`;
      return start(name, async (context) => (await load())(context, ...given))();
    });
  };

  add(
    'runconsumer',
    'handle messages with the consumers of this project',
    async () => (await import('./commands/runconsumer.ts')).runconsumer,
  );
  add(
    'devconsumer',
    'the same, started anew when a file changes',
    async () => (await import('./commands/devconsumer.ts')).devconsumer,
  );
  add(
    'runpublisher',
    'move events from the outbox to the broker',
    async () => (await import('./commands/runpublisher.ts')).runpublisher,
  );
  add(
    'devpublisher',
    'the same, started anew when a file changes',
    async () => (await import('./commands/devpublisher.ts')).devpublisher,
  );
  add('dev', 'run all of this in one process, without servers', async () => (await import('./commands/dev.ts')).dev);
  add(
    'checkpublisher',
    'fail when too many events wait, or for too long',
    async () => (await import('./commands/checkpublisher.ts')).checkpublisher,
  )
    .option('--max-queue-size <n>', 'most events that may wait', wholeNumber, 1000)
    .option('--max-delay <seconds>', 'longest time that a due event may wait, e.g. 60 or 5m', seconds, 60);
  add('runworker', 'run tasks, each in a process', async () => (await import('./commands/runworker.ts')).runworker);
  add(
    'devworker',
    'the same, started anew when a file changes',
    async () => (await import('./commands/devworker.ts')).devworker,
  );
  add(
    'serve',
    'serve tasks and processes over HTTP, with documentation',
    async () => (await import('./commands/serve.ts')).serve,
  )
    .option('--host <address>', 'address to listen on (default: the setting http.host)')
    .option('-p, --port <n>', 'TCP port; 0 takes a free one (default: the setting http.port, with --docs 4000)', port)
    .option('--docs', 'tell of events, commands and calls too')
    .option('--make-token', 'make a token when http.token is not set, and print it once')
    .option('--all', 'publisher, consumers and worker in this process too, on embedded servers unless others are set');
  const docs = program
    .command('docs')
    .description('build the documentation as files')
    .helpOption('-h, --help', 'print this help');
  add(
    'build',
    'write the documentation into a folder, for any web server',
    async () => (await import('./commands/docs-build.ts')).docsBuild,
    docs,
  ).argument('<folder>', 'made when it is not there');
  add(
    'migrate',
    'create or update the tables; safe to run again',
    async () => (await import('./commands/migrate.ts')).migrate,
  );
  add(
    'doctor',
    'say what is wrong, from settings to queues, and what to do',
    async () => (await import('./commands/doctor.ts')).doctor,
  );
  add('demo', 'show two services at work, on embedded servers', async () => (await import('./commands/demo.ts')).demo)
    .option('--broker-url <url>', 'on this broker instead')
    .option('--database-url <url>', 'on this database instead')
    .addOption(new Option('--sabotage <rule>', 'take a rule away, to see that the figures tell').choices(['no-inbox']));
  add('broker', 'run the embedded AMQP broker, for tests', async () => (await import('./commands/broker.ts')).broker)
    .option('-p, --port <n>', 'TCP port on 127.0.0.1; 0 takes a free one', port, 5672)
    .option('--keep <file>', 'keep durable queues in this file over restarts');
  add(
    'explain',
    'say which consumer takes a message, and why',
    async () => (await import('./commands/explain.ts')).explain,
  )
    .argument('<exchange>', 'where the message comes from')
    .argument('<key>', 'its routing key');
  addMessaging(add);
  addServices(add);
  const dlq = program
    .command('dlq')
    .description('look at dead letters, put them back, drop them')
    .helpOption('-h, --help', 'print this help');
  addDlq((...command) => add(...command, dlq));
  const future = program
    .command('future')
    .description('look at future events, cancel them')
    .helpOption('-h, --help', 'print this help');
  addFuture((...command) => add(...command, future));
  const task = program
    .command('task')
    .description('run tasks, look at them, end them')
    .helpOption('-h, --help', 'print this help');
  addTask((...command) => add(...command, task));
  const processes = program
    .command('process')
    .description('look at processes, create instances, end them')
    .helpOption('-h, --help', 'print this help');
  addProcess((...command) => add(...command, processes));
  return program;
}

/** Without `[options]`, which nearly all have: the list fits 80 columns. */
const subcommandTerm = (command: Command): string =>
  [
    command.name(),
    ...command.registeredArguments.map((each) => (each.required ? `<${each.name()}>` : `[${each.name()}]`)),
  ].join(' ');

/** As in lifecycle/logger.ts, which would load the logger for every command line. */
const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const satisfies readonly LogLevel[];

function logLevel(text: string): LogLevel {
  const level = LEVELS.find((known) => known === text);
  if (level === undefined) throw new InvalidArgumentError(`It must be one of ${LEVELS.join(', ')}.`);
  return level;
}

function port(text: string): number {
  const value = Number(text);
  if (/^\d{1,5}$/.test(text) && value <= 65_535) return value;
  throw new InvalidArgumentError('It must be a port, 0 to 65535.');
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError('It must be a whole number ≥ 0.');
}

function seconds(text: string): number {
  const ms = parseDuration(text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text), 's');
  if (ms === undefined) throw new InvalidArgumentError('It must be seconds, a number ≥ 0, or a duration such as 5m.');
  return ms / 1000;
}

const withSubcommands = (command: Command): Command[] => [command, ...command.commands.flatMap(withSubcommands)];

/** `dlq redrive`; undefined for the program itself. */
function pathOf(command: Command): string | undefined {
  if (command.parent === null) return undefined;
  const group = pathOf(command.parent);
  return group === undefined ? command.name() : `${group} ${command.name()}`;
}

function usageError(error: CommanderError, refusing: Command): UsageError {
  const line = ['svc-comm', pathOf(refusing), '--help'].filter((part) => part !== undefined).join(' ');
  return new UsageError(`${messageOf(error, refusing)}\nrun \`${line}\` for what there is`, { cause: error });
}

function messageOf(error: CommanderError, refusing: Command): string {
  if (error.code !== 'commander.help') return error.message.replace(/^error: /, '');
  // Commander says no more of `help NAME` than of nothing.
  const [first, second] = refusing.args;
  return first === 'help' && second !== undefined ? `unknown command '${second}'` : 'no command given';
}

import { type Duration, durationMs } from '../../util/duration.ts';
import { type CoreOptions, coreTask, membersProblem, textOf, timeoutProblem } from './core-task.ts';
import { coreServices } from './services.ts';

/** `[command.send, { args: { service: sms, commandName: send, arguments: { phone: = body.phone } } }]` */
export const sendCommand = coreTask(
  { description: 'Sends a command to a service, confirmed by the broker.', needsService: true },
  ([options]) =>
    membersProblem(options, ['service', 'arguments'], ['commandName', 'timeout']) ??
    timeoutProblem(options as CoreOptions),
  async (options) => {
    const { arguments: args, timeout } = options;
    if (typeof args !== 'object' || args === null || Array.isArray(args)) {
      throw new TypeError(`arguments: expected an object, got ${JSON.stringify(args)}`);
    }
    const commandName = options.commandName === undefined ? {} : { commandName: textOf(options, 'commandName') };
    const limit = timeout === undefined ? {} : { timeout: durationMs(timeout as Duration, 'timeout', 's') / 1000 };
    await (await coreServices()).sendCommand(textOf(options, 'service'), args, { ...commandName, ...limit });
    return { sent: true };
  },
);

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { httpRequest } from '../../src/process/core/http-request.ts';
import { sendCommand } from '../../src/process/core/send-command.ts';
import { type CoreCommandOptions, inServiceScope } from '../../src/process/core/services.ts';
import { requestFor } from '../../src/process/run-step.ts';
import type { ProcessStep } from '../../src/process/step.ts';

describe('the timeout of a task of the package', () => {
  let server: Server;
  let url: string;
  let answers: () => void = () => undefined;
  beforeAll(async () => {
    server = createServer((_, response) => {
      answers = () => response.end('{}');
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });
  afterAll(() => server.close());

  const run = async (step: ProcessStep, options: object) => {
    const snapshot = {
      method: 'POST',
      url: '/',
      params: {},
      query: {},
      headers: {},
      body: {},
      user: '',
      instanceId: '',
    };
    const context = { signal: new AbortController().signal, logger: silentLogger, results: {} };
    return step.run(requestFor(step, snapshot, context) as never, options as never);
  };

  it('of http.request is in seconds when it is a number, as every time of a process', async () => {
    await expect(run(httpRequest, { url, timeout: 0.05 })).rejects.toThrow(/within 50 ms/);
    const answered = run(httpRequest, { url, timeout: 20 });
    await new Promise<void>((asked) => server.once('request', () => asked()));
    // What was twenty milliseconds once is over by then.
    setTimeout(() => answers(), 100);
    expect(await answered).toMatchObject({ status: 200 });
  });

  it.each([
    ['30s', 30],
    [2, 2],
    ['500ms', 0.5],
  ])('of command.send is a duration: %j', async (timeout, seconds) => {
    const sent: CoreCommandOptions[] = [];
    const services = async () => ({
      folder: '',
      publishEvent: async () => ({ eventId: '' }),
      sendCommand: async (_service: string, _args: object, options: CoreCommandOptions) => void sent.push(options),
    });
    await inServiceScope(services, () => run(sendCommand, { service: 'sms', arguments: {}, timeout }));
    expect(sent).toEqual([{ timeout: seconds }]);
  });

  it.each(['soon', 0, -1, null, true])('is refused when it is %j, where the process is defined', (timeout) => {
    expect(httpRequest.checkArguments([{ url: 'https://example.com/', timeout }])).toMatch(/a timeout such as '30s'/);
    expect(sendCommand.checkArguments([{ service: 'sms', arguments: {}, timeout }])).toMatch(/a timeout such as/);
    expect(httpRequest.checkArguments([{ url: 'https://example.com/', timeout: '= body.seconds' }])).toBeUndefined();
  });
});

/** A process that logs what a request of axios failed with, and an error of ours. Arguments: the URL, a secret that the request has. */
import axios from 'axios';
import { CallLostError } from '../../src/errors.ts';
import { createLogger } from '../../src/lifecycle/logger.ts';
import { showingErrors } from '../../src/lifecycle/shown-errors.ts';

const [, , url = '', secret = ''] = process.argv;
const request = axios.post(
  url,
  { secret },
  { auth: { username: 'u', password: secret }, headers: { 'x-api-key': secret } },
);
const error = await request.then(
  () => new Error('it was taken'),
  (thrown: Error) => thrown,
);

const logger = createLogger();
logger.error({ error }, 'failed');
logger.error({ err: error }, 'failed');
Reflect.apply(logger.error, logger, [error]);
class Outcome {
  readonly reason = error;
}
class Report {
  toJSON(): object {
    return { reason: error };
  }
}
const circular: Record<string, unknown> = { error };
circular.self = circular;
// As roles of the command line have it, and the server of `svc-comm serve`.
for (const shown of [logger, showingErrors(logger), showingErrors(showingErrors(logger))]) {
  shown.error({ error: new CallLostError({ service: 'pricing', method: 'quote', callId: 'c' }) }, 'lost');
  shown.error({ failure: error, try: { error, all: [{ error }] } }, 'failed');
  shown.error({ outcome: new Outcome(), report: new Report(), circular }, 'failed');
}
process.disconnect();

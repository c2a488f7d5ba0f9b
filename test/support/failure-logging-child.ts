/** A process that logs what a request of axios failed with. Arguments: the URL, a secret that the request has. */
import axios from 'axios';
import { createLogger } from '../../src/lifecycle/logger.ts';

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
process.disconnect();

import { SettingsError } from '../errors.ts';
import type { RestClient } from '../rest-api/client.ts';
import type { Assembly } from './assembly.ts';

/**
 * The client of the API that the setting `restApi` describes. Loaded when it is asked for: who talks to no API does not
 * wait for its libraries at each start.
 * @throws SettingsError (SVC_COMM_SETTINGS) when none is set
 */
export async function assembleRestClient({ settings, logger }: Assembly): Promise<RestClient> {
  const { restApi } = settings;
  if (!restApi) {
    const expected = "an object such as { host: 'https://api.example.com' }";
    throw new SettingsError([{ setting: 'restApi', expected, got: 'nothing', from: 'what svc-comm/rest-api needs' }]);
  }
  const { createRestClient } = await import('../rest-api/client.ts');
  return createRestClient({ ...restApi, logger });
}

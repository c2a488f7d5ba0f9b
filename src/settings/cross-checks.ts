import { parseBrokerUrls } from '../broker/broker-url.ts';
import { InvalidArgumentError, type SettingProblem } from '../errors.ts';
import { MAX_NAME_BYTES } from '../message/message.ts';
import { deadQueueName, retryQueueName } from '../message/topology.ts';
import { BaseUrl } from '../rest-api/target.ts';
import { isEmbeddedUrl } from '../util/embedded-url.ts';
import { DEFAULT_SETTINGS } from './defaults.ts';
import { type ProblemSources, wrongSetting } from './problems.ts';
import { settingsSchema } from './schema.ts';

/** `arguments` that a setting of its own gives. */
const OWN_QUEUE_ARGUMENTS: Readonly<Record<string, string>> = {
  'x-queue-type': 'queue.type',
  'x-single-active-consumer': 'queue.singleActiveConsumer',
  'x-delivery-limit': 'queue.deliveryLimit',
};

/** What is right by itself and wrong together. A check whose settings are wrong by themselves is left out. */
export function crossChecks(sources: ProblemSources, appId: string | undefined): SettingProblem[] {
  const input = sources.input as Readonly<Record<string, unknown>>;
  return [
    ...brokerProblems(input.brokerUrl, sources),
    ...retryProblems(input.retry, sources),
    ...queueProblems(input.queue, input.retry, sources, appId),
    ...inboxProblems(input, sources),
    ...restApiProblems(input.restApi, sources),
  ];
}

/** Delays that are left out are cut to the attempts; delays that are given must fit them. */
export function defaultDelaysMs(attempts: number): readonly number[] {
  const delays = settingsSchema.shape.retry.parse({ delays: DEFAULT_SETTINGS.retry.delays }).delays ?? [];
  return delays.slice(0, attempts - 1);
}

/** Ours, or the one that the user's own library opens transactions on. */
export const hasDatabase = ({
  databaseUrl,
  transactions,
}: {
  databaseUrl?: unknown;
  transactions?: unknown;
}): boolean => databaseUrl !== undefined || typeof transactions === 'function';

/** What a connection would refuse: parameters that there are not, files that cannot be read. */
function brokerProblems(given: unknown, sources: ProblemSources): SettingProblem[] {
  const { data: urls = [] } = settingsSchema.shape.brokerUrl.safeParse(given);
  if (urls.length === 0 || isEmbeddedUrl(urls[0])) return [];
  try {
    parseBrokerUrls(urls);
    return [];
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    return [wrongSetting(['brokerUrl'], sources, `${error.expected}, not ${error.got}`)];
  }
}

function retryProblems(given: unknown, sources: ProblemSources): SettingProblem[] {
  const { data: retry } = settingsSchema.shape.retry.safeParse(given);
  if (!retry?.delays) return [];
  const most = retry.attempts - 1;
  if (retry.delays.length > most) {
    const expected = `at most ${most} delays, one between each two of retry.attempts = ${retry.attempts}`;
    return [wrongSetting(['retry', 'delays'], sources, expected)];
  }
  if (most > 0 && retry.delays.length === 0) {
    return [wrongSetting(['retry', 'delays'], sources, `at least one delay for retry.attempts = ${retry.attempts}`)];
  }
  return [];
}

function queueProblems(
  given: unknown,
  givenRetry: unknown,
  sources: ProblemSources,
  appId: string | undefined,
): SettingProblem[] {
  const { data: queue } = settingsSchema.shape.queue.safeParse(given);
  if (!queue) return [];
  const problems: SettingProblem[] = [];
  const name = queue.name ?? appId ?? '';
  const { data: retry } = settingsSchema.shape.retry.safeParse(givenRetry);
  const delays = retry?.delays ?? defaultDelaysMs(retry?.attempts ?? 1);
  const derived = [deadQueueName(name), ...delays.map((delay) => retryQueueName(name, delay))];
  const longest = derived.reduce((a, b) => (b.length > a.length ? b : a));
  const suffixBytes = longest.length - name.length;
  if (Buffer.byteLength(longest) > MAX_NAME_BYTES) {
    const expected = `a name of at most ${MAX_NAME_BYTES - suffixBytes} bytes, since there is also "<queue>${longest.slice(name.length)}"`;
    problems.push(wrongSetting(['queue', 'name'], sources, expected));
  }
  if (name.startsWith('amq.')) {
    problems.push(wrongSetting(['queue', 'name'], sources, 'a name that does not start with "amq.", the broker’s own'));
  }
  if (queue.type === 'classic' && queue.deliveryLimit !== undefined) {
    problems.push(wrongSetting(['queue', 'deliveryLimit'], sources, "nothing for queue.type 'classic'"));
  }
  for (const argument of Object.keys(queue.arguments)) {
    const own = OWN_QUEUE_ARGUMENTS[argument];
    if (own) problems.push(wrongSetting(['queue', 'arguments', argument], sources, `${own} instead of this argument`));
  }
  return problems;
}

function inboxProblems(input: Readonly<Record<string, unknown>>, sources: ProblemSources): SettingProblem[] {
  const { data: inbox } = settingsSchema.shape.inbox.safeParse(input.inbox);
  if (inbox?.enabled !== true || hasDatabase(input)) return [];
  return [wrongSetting(['databaseUrl'], sources, 'a postgres:// URL, since inbox.enabled is true')];
}

function restApiProblems(given: unknown, sources: ProblemSources): SettingProblem[] {
  const { data: restApi } = settingsSchema.shape.restApi.safeParse(given);
  if (!restApi) return [];
  const { authUrl, username, password, credential } = restApi;
  const problems = restAddressProblems(restApi, sources);
  if (credential && (username !== undefined || password !== undefined)) {
    problems.push(wrongSetting(['restApi', 'credential'], sources, 'either credential, or username and password'));
  }
  if ((username === undefined) !== (password === undefined)) {
    const missing = username === undefined ? 'username' : 'password';
    problems.push(wrongSetting(['restApi', missing], sources, 'a text: username and password go together'));
  }
  if (authUrl === undefined && (credential ?? username ?? password) !== undefined) {
    problems.push(wrongSetting(['restApi', 'authUrl'], sources, 'a path that the credential is sent to'));
  }
  if (authUrl !== undefined && (credential ?? username ?? password) === undefined) {
    const expected = 'username and password, or credential, beside it, to be sent to this path';
    problems.push(wrongSetting(['restApi', 'authUrl'], sources, expected));
  }
  return problems;
}

/** What the client would refuse at its first request, under names that are none of settings. */
function restAddressProblems(
  { host, authUrl }: { readonly host: string; readonly authUrl?: string | undefined },
  sources: ProblemSources,
): SettingProblem[] {
  const problems: SettingProblem[] = [];
  const tried = <T>(setting: 'host' | 'authUrl', work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      problems.push(wrongSetting(['restApi', setting], sources, error.expected));
      return undefined;
    }
  };
  const base = tried('host', () => new BaseUrl(host));
  if (base && authUrl !== undefined) tried('authUrl', () => base.resolve(authUrl));
  return problems;
}

import type { SettingProblem } from '../errors.ts';
import { nearestName } from '../util/nearest.ts';
import { SETTINGS, type Setting } from './catalogue.ts';
import { CONFIG_VARIABLE, PREFIX, TEST_PREFIX } from './environment-names.ts';
import { describeRefused } from './mask.ts';
import type { Override } from './override.ts';
import { isServiceLink } from './service-links.ts';

export interface EnvironmentSettings {
  readonly overrides: readonly Override[];
  readonly problems: readonly SettingProblem[];
}

/** `restApi.host` → `SVC_COMM_REST_API_HOST`. */
export const variableName = (setting: string): string =>
  PREFIX +
  setting
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll('.', '_')
    .toUpperCase();

const byVariable = new Map(
  SETTINGS.filter((setting) => setting.description.textForm !== 'none').map((s) => [variableName(s.name), s]),
);

/**
 * Settings in environment variables. `SVC_COMM_RETRY` gives the whole object and comes before `SVC_COMM_RETRY_ATTEMPTS`,
 * which gives one member. A `SVC_COMM_` variable that names no setting is a problem: it would be a typing mistake that
 * nobody notices. Those that Kubernetes makes of Services are nobody's mistake.
 */
export function readEnvironment(environment: NodeJS.ProcessEnv): EnvironmentSettings {
  const overrides: Override[] = [];
  const problems: SettingProblem[] = [];
  for (const [variable, text] of Object.entries(environment)) {
    if (text === undefined || !variable.startsWith(PREFIX)) continue;
    if (variable === CONFIG_VARIABLE || variable.startsWith(TEST_PREFIX)) continue;
    if (isServiceLink(variable, environment)) continue;
    const setting = byVariable.get(variable);
    if (!setting) {
      problems.push(unknownVariable(variable));
      continue;
    }
    const value = parseText(setting, text);
    if (value.kind === 'value') overrides.push({ path: setting.path, value: value.value, from: variable });
    else problems.push(notJson(setting, variable, text));
  }
  return { overrides: overrides.toSorted((a, b) => a.path.length - b.path.length), problems };
}

type Parsed = { readonly kind: 'value'; readonly value: unknown } | { readonly kind: 'not-json' };

function parseText(setting: Setting, text: string): Parsed {
  const { textForm } = setting.description;
  switch (textForm) {
    case 'number':
    case 'text-or-number':
      return { kind: 'value', value: /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text };
    case 'boolean':
      return { kind: 'value', value: text === 'true' ? true : text === 'false' ? false : text };
    case 'json':
      return parseJson(text);
    case 'text-or-json':
      return /^\s*[[{]/.test(text) ? parseJson(text) : { kind: 'value', value: text };
    case 'text':
    case 'none':
      return { kind: 'value', value: text };
    default:
      return textForm satisfies never;
  }
}

function parseJson(text: string): Parsed {
  try {
    return { kind: 'value', value: JSON.parse(text) };
  } catch {
    return { kind: 'not-json' };
  }
}

function unknownVariable(variable: string): SettingProblem {
  const nearest = nearestName(variable, [...byVariable.keys(), CONFIG_VARIABLE]);
  return {
    setting: variable,
    expected: `the name of a setting (${nearest ? `did you mean ${nearest}?` : 'docs/settings.md lists them'})`,
    got: 'an unknown name',
    from: 'environment',
  };
}

function notJson(setting: Setting, variable: string, text: string): SettingProblem {
  return {
    setting: setting.name,
    expected: `${setting.description.expected}, as JSON`,
    // A text that does not parse cannot be searched for the passwords in it.
    got: setting.isGroup ? `${text.length} characters that are no JSON` : describeRefused(setting.path, text),
    from: variable,
  };
}

import type { z } from 'zod';
import type { SettingProblem } from '../errors.ts';
import { nearestName } from '../util/nearest.ts';
import { SETTINGS, settingAt } from './catalogue.ts';
import { describeRefused } from './mask.ts';

export interface ProblemSources {
  /** What was checked, overrides put in. */
  readonly input: unknown;
  /** Where the value at a path came from. */
  readonly originOf: (path: readonly PropertyKey[]) => string;
}

/** Zod's findings in our words: which setting, what it takes, what it got, and from where. */
export function settingProblems(issues: readonly z.core.$ZodIssue[], sources: ProblemSources): SettingProblem[] {
  return issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => unknownSetting([...issue.path, key], sources))
      : [wrongSetting(issue.path, sources)],
  );
}

/** A wrong value at a path; `expected` is the description of the setting there unless given. */
export function wrongSetting(
  path: readonly PropertyKey[],
  { input, originOf }: ProblemSources,
  expected?: string,
): SettingProblem {
  const setting = settingAt(path);
  // One entry of a list has a description of its own, whatever is wrong inside it.
  const isItem = setting !== undefined && path.length > setting.path.length;
  const shownPath = setting && isItem ? path.slice(0, setting.path.length + 1) : path;
  const description = isItem ? setting?.description.expectedItem : undefined;
  return {
    setting: shownPath.map(String).join('.'),
    expected: expected ?? description ?? setting?.description.expected ?? 'an object of settings',
    got: describeRefused(shownPath, valueAt(input, shownPath)),
    from: originOf(shownPath),
  };
}

function unknownSetting(path: readonly PropertyKey[], { originOf }: ProblemSources): SettingProblem {
  const group = path.slice(0, -1).map(String).join('.');
  const names = SETTINGS.map((setting) => setting.name);
  const siblings = names.filter((name) => name.slice(0, Math.max(0, name.lastIndexOf('.'))) === group);
  const setting = path.map(String).join('.');
  const nearest = nearestName(setting, siblings) ?? nearestName(String(path.at(-1)), names);
  return {
    setting,
    expected: `a known setting (${nearest ? `did you mean ${nearest}?` : `one of ${siblings.join(', ')}`})`,
    got: 'an unknown name',
    from: originOf(path),
  };
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) {
    // The short form of a setting (`queue: 'orders'`) has no members: it is itself what was given.
    if (typeof value !== 'object' || value === null) return value;
    value = value[key as keyof typeof value];
  }
  return value;
}

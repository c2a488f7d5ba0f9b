import { DEFAULT_SETTINGS } from './defaults.ts';
import { type Description, descriptionOf } from './leaf.ts';
import { settingsSchema } from './schema.ts';

export interface Setting {
  /** `retry.attempts`. */
  readonly name: string;
  readonly path: readonly string[];
  readonly description: Description;
  /** Whether it only holds others: `retry`. */
  readonly isGroup: boolean;
}

/** Every setting, groups before their members, in the order of the schema. */
export const SETTINGS: readonly Setting[] = Object.freeze(collect(settingsSchema, []));

const byName = new Map(SETTINGS.map((setting) => [setting.name, setting]));

export const findSetting = (name: string): Setting | undefined => byName.get(name);

/** The setting that a path lies in: `retry.delays` for `retry.delays.2`. */
export function settingAt(path: readonly PropertyKey[]): Setting | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const setting = byName.get(path.slice(0, length).map(String).join('.'));
    if (setting) return setting;
  }
  return undefined;
}

/** The constant default; undefined when there is none or it is taken from other settings. */
export function constantDefault(path: readonly string[]): unknown {
  let value: unknown = DEFAULT_SETTINGS;
  for (const key of path) {
    value = typeof value === 'object' && value !== null && key in value ? value[key as keyof typeof value] : undefined;
  }
  return value;
}

function collect(schema: object, path: readonly string[]): Setting[] {
  return Object.entries(shapeOf(schema) ?? {}).flatMap(([key, member]) => {
    const memberPath = [...path, key];
    const description = descriptionOf(member);
    const members = collect(member, memberPath);
    if (!description) return members;
    return [{ name: memberPath.join('.'), path: memberPath, description, isGroup: members.length > 0 }, ...members];
  });
}

/** The members of a zod object, through the defaults and preprocessors around it. */
function shapeOf(schema: object): Readonly<Record<string, object>> | undefined {
  if ('shape' in schema) return schema.shape as Readonly<Record<string, object>>;
  if (!('def' in schema)) return undefined;
  const { innerType, out } = schema.def as { readonly innerType?: object; readonly out?: object };
  const inner = innerType ?? out;
  return inner && shapeOf(inner);
}

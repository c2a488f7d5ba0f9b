import { constantDefault, SETTINGS } from './catalogue.ts';
import { variableName } from './environment.ts';

export interface SettingRow {
  readonly name: string;
  /** What it takes. */
  readonly type: string;
  readonly default: string;
  readonly meaning: string;
  /** The environment variable that overrides it; undefined: none can. */
  readonly variable: string | undefined;
}

/** Every setting with what it takes, its default and its meaning, from the schema that checks them. */
export function settingsTable(): SettingRow[] {
  return SETTINGS.filter((setting) => setting.description.meaning !== '').map(({ name, path, description }) => ({
    name,
    type: description.expected,
    default: description.defaultText ?? literal(constantDefault(path)),
    meaning: description.meaning,
    variable: description.textForm === 'none' ? undefined : variableName(name),
  }));
}

/** The same as a Markdown table. */
export function settingsMarkdown(): string {
  const rows = settingsTable().map((row) => [
    `\`${row.name}\``,
    row.type,
    row.default,
    row.meaning,
    row.variable ? `\`${row.variable}\`` : '–',
  ]);
  const head = ['setting', 'takes', 'default', 'meaning', 'variable'];
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(escapeCell).join(' | ')} |`);
  return `${lines.join('\n')}\n`;
}

const escapeCell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

function literal(value: unknown): string {
  return value === undefined ? 'none' : `\`${quoted(value)}\``;
}

function quoted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(quoted).join(', ')}]`;
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}

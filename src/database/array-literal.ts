/** A list as PostgreSQL writes an array (`{"a",NULL}`), to be cast: every library carries a text unchanged. */
export function arrayLiteral(values: readonly (string | null)[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : quoted(value))).join(',')}}`;
}

/** The engine's own JSON is fast, and writes a text as PostgreSQL does, but for control characters and surrogates. */
const quoted = (text: string): string =>
  NOT_AS_JSON.test(text) ? `"${text.replace(SPECIAL, '\\$&')}"` : JSON.stringify(text);

const NOT_AS_JSON = /[^ -\ud7ff\ue000-\uffff]/;
const SPECIAL = /["\\]/g;

/** A list as PostgreSQL writes an array (`{"a",NULL}`), to be cast: every library carries a text unchanged. */
export function arrayLiteral(values: readonly (string | null)[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : `"${value.replace(SPECIAL, '\\$&')}"`)).join(',')}}`;
}

const SPECIAL = /["\\]/g;

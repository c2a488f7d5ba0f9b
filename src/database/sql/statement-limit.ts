/** The value of the parameter that `statementLimit` reads. @param ms undefined: there is no limit */
export const limitValue = (ms: number | undefined): string | null => (ms === undefined ? null : String(Math.ceil(ms)));

/**
 * An expression for a SELECT: later statements of the transaction that take longer are ended by PostgreSQL (57014). It
 * costs no statement of its own. A shorter time that is set already stays.
 * @param parameter in ms, for example '$5'; NULL is no limit
 */
export const statementLimit = (parameter: string): string =>
  `CASE WHEN ${parameter}::int IS NOT NULL THEN set_config('statement_timeout', least(${parameter}::int, nullif(
      extract(epoch FROM current_setting('statement_timeout')::interval) * 1000, 0))::int::text, true) END AS bounded`;

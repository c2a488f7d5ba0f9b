/** The least that a SQL library must do for us: run one statement with `$1 …` parameters. */
export interface SqlExecutor {
  /**
   * @param name prepares the statement under this name once for each connection, where the library can
   * @returns the rows, keyed by column name
   */
  query<Row extends object>(sql: string, params: readonly unknown[], name?: string): Promise<Row[]>;
}

/** What a client of pg has of itself; its types do not tell of all of it. */
interface GreetedClient {
  /** As it was told when it connected; not in pg's types. */
  readonly processID?: number | null;
  query(sql: string): Promise<{ rows: unknown[] }>;
}

/**
 * Whether a pooler stands between a client of pg and PostgreSQL. It greets with a process id of its own, and the session
 * that answers next may be another one: what was prepared or set in one is missing in the other, and is found by whoever
 * has that one next.
 */
export async function isBehindPooler(client: GreetedClient): Promise<boolean> {
  const { rows } = await client.query('SELECT pg_backend_pid() AS own');
  const [row] = rows as { own: number }[];
  return row?.own !== client.processID;
}

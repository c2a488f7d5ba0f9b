import pg from 'pg';

/**
 * The judge of the kill tests. Producers write `produced` in the transaction of the event, handlers write `effect` in
 * the inbox's transaction; no constraint of these tables helps the system under test: duplicates and ghosts can be
 * written, and are counted here.
 */
export interface Verdict {
  readonly produced: number;
  readonly effects: number;
  readonly lost: number;
  readonly ghosts: number;
  readonly duplicateEffects: number;
  readonly inversions: number;
}

export class Oracle {
  readonly #pool: pg.Pool;

  constructor(databaseUrl: string) {
    this.#pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
    this.#pool.on('error', () => undefined);
  }

  async create(): Promise<void> {
    await this.#pool.query(`
      CREATE SCHEMA oracle;
      CREATE TABLE oracle.key (key text PRIMARY KEY, seq int NOT NULL DEFAULT 0);
      CREATE TABLE oracle.produced (event_id uuid NOT NULL, key text NOT NULL, seq int NOT NULL);
      CREATE TABLE oracle.counter (consumer text, key text, n int NOT NULL, PRIMARY KEY (consumer, key));
      CREATE TABLE oracle.effect (consumer text, event_id uuid, key text, seq int NOT NULL, n int NOT NULL);`);
  }

  async query<Row extends object>(sql: string, params: unknown[] = []): Promise<Row[]> {
    return (await this.#pool.query<Row>(sql, params)).rows;
  }

  async count(sql: string, params: unknown[] = []): Promise<number> {
    const [row] = await this.query<{ count: string }>(`SELECT count(*) FROM (${sql}) rows`, params);
    return Number(row?.count ?? 0);
  }

  outboxRows(): Promise<number> {
    return this.count('SELECT 1 FROM svc_comm_outbox');
  }

  /** Whether effects are still to come. Asked again and again, so it costs little: the verdict looks at each of them. */
  async isIncomplete(consumers: readonly string[]): Promise<boolean> {
    const [row] = await this.query<{ incomplete: boolean }>(
      `SELECT EXISTS (SELECT FROM svc_comm_outbox) OR (SELECT count(*) FROM oracle.effect WHERE consumer = ANY($1)) <
                (SELECT count(*) * cardinality($1::text[]) FROM oracle.produced) incomplete`,
      [consumers],
    );
    return row?.incomplete !== false;
  }

  /** @param consumers each event is to have one effect for each of these */
  async verdict(consumers: readonly string[]): Promise<Verdict> {
    const [row] = await this.query<Record<keyof Verdict, string>>(
      `WITH wanted AS (SELECT c consumer, event_id FROM oracle.produced, unnest($1::text[]) c),
            ordered AS (SELECT seq, max(seq) OVER (PARTITION BY consumer, key ORDER BY n
                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) before FROM oracle.effect)
       SELECT (SELECT count(*) FROM wanted) "produced",
              (SELECT count(*) FROM oracle.effect) "effects",
              (SELECT count(*) FROM wanted w WHERE NOT EXISTS
                (SELECT FROM oracle.effect e WHERE e.consumer = w.consumer AND e.event_id = w.event_id)) "lost",
              (SELECT count(*) FROM oracle.effect e WHERE NOT EXISTS
                (SELECT FROM oracle.produced p WHERE p.event_id = e.event_id)) "ghosts",
              (SELECT count(*) - count(DISTINCT (consumer, event_id)) FROM oracle.effect) "duplicateEffects",
              (SELECT count(*) FROM ordered WHERE seq < before) "inversions"`,
      [consumers],
    );
    if (!row) throw new Error('the oracle has no answer');
    return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)])) as unknown as Verdict;
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

import { readFileSync } from 'node:fs';
import pg from 'pg';

/** Copies in a dead-letter queue, as a plain client read them. */
export interface DeadCopy {
  readonly consumer: string;
  readonly messageId: string;
}

/**
 * `lost`: neither effect nor dead letter. `ghosts`: effects of nothing that was committed. `inversions`: effects of a key
 * before an earlier one, for consumers that keep order. `innocents`: dead letters that were not poison.
 */
export interface Verdict {
  readonly produced: number;
  readonly wanted: number;
  readonly effects: number;
  readonly dead: number;
  readonly lost: number;
  readonly ghosts: number;
  readonly duplicateEffects: number;
  readonly inversions: number;
  readonly innocents: number;
}

export const VIOLATIONS = ['lost', 'ghosts', 'duplicateEffects', 'inversions', 'innocents'] as const;

export interface Runs {
  /** Handler runs of all messages. */
  readonly total: number;
  /** Runs above one for each effect or planned failure: what at-least-once cost. */
  readonly perEffect: number;
  /** Most runs of one message at one consumer. */
  readonly most: number;
}

/**
 * The judge: it reads tables of its own and the file of runs, nothing of ours. Its tables have no constraint that would
 * help the system under test: ghosts, doubles and inversions can be written, and are counted.
 */
export class Oracle {
  readonly #pool: pg.Pool;

  constructor(databaseUrl: string) {
    this.#pool = new pg.Pool({ connectionString: databaseUrl, max: 2, application_name: 'oracle' });
    this.#pool.on('error', () => undefined);
  }

  async create(): Promise<void> {
    await this.query(`
      CREATE SCHEMA oracle;
      CREATE TABLE oracle.key (key text PRIMARY KEY, seq int NOT NULL);
      CREATE TABLE oracle.produced (event_id uuid NOT NULL, key text, seq int, kind text NOT NULL);
      CREATE TABLE oracle.counter (consumer text, key text, n int NOT NULL, PRIMARY KEY (consumer, key));
      CREATE TABLE oracle.effect (consumer text NOT NULL, event_id uuid NOT NULL, n int);
      CREATE TABLE oracle.dead (consumer text NOT NULL, event_id uuid NOT NULL);
      CREATE INDEX ON oracle.produced (event_id);
      CREATE INDEX ON oracle.effect (event_id);`);
  }

  async clear(): Promise<void> {
    await this.query('TRUNCATE oracle.key, oracle.produced, oracle.counter, oracle.effect, oracle.dead');
  }

  async query<Row extends object>(sql: string, params: unknown[] = []): Promise<Row[]> {
    return (await this.#pool.query<Row>(sql, params)).rows;
  }

  async count(sql: string, params: unknown[] = []): Promise<number> {
    const [row] = await this.query<{ count: string }>(`SELECT count(*) FROM (${sql}) rows`, params);
    return Number(row?.count ?? 0);
  }

  produced(): Promise<number> {
    return this.count('SELECT 1 FROM oracle.produced');
  }

  effects(): Promise<number> {
    return this.count('SELECT 1 FROM oracle.effect');
  }

  async recordDead(copies: readonly DeadCopy[]): Promise<void> {
    await this.query('TRUNCATE oracle.dead');
    await this.query('INSERT INTO oracle.dead SELECT * FROM unnest($1::text[], $2::uuid[])', [
      copies.map(({ consumer }) => consumer),
      copies.map(({ messageId }) => messageId),
    ]);
  }

  /**
   * What has gone wrong for good by now, while things still flow: lost and dead are not known yet.
   * @param consumers each event is to have one effect, or a dead letter, for each of these
   */
  async verdict(consumers: readonly string[]): Promise<Verdict> {
    const [row] = await this.query<Record<keyof Verdict, string>>(
      `WITH made AS (SELECT e.consumer, e.event_id, e.n, p.key, p.seq FROM oracle.effect e
                       JOIN oracle.produced p USING (event_id)),
            ordered AS (SELECT seq, max(seq) OVER (PARTITION BY consumer, key ORDER BY n
                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) before
                          FROM made WHERE key IS NOT NULL AND n IS NOT NULL),
            ended AS (SELECT consumer, event_id FROM oracle.effect UNION SELECT consumer, event_id FROM oracle.dead),
            produced AS (SELECT count(*) n FROM oracle.produced)
       SELECT (SELECT n FROM produced) "produced",
              (SELECT n * cardinality($1::text[]) FROM produced) "wanted",
              (SELECT count(*) FROM oracle.effect) "effects",
              (SELECT count(*) FROM oracle.dead) "dead",
              (SELECT n * cardinality($1::text[]) FROM produced) - (SELECT count(*) FROM ended x
                WHERE x.consumer = ANY ($1) AND EXISTS (SELECT FROM oracle.produced p WHERE p.event_id = x.event_id)) "lost",
              (SELECT count(*) FROM oracle.effect e WHERE NOT EXISTS
                (SELECT FROM oracle.produced p WHERE p.event_id = e.event_id)) "ghosts",
              (SELECT count(*) - count(DISTINCT (consumer, event_id)) FROM oracle.effect) "duplicateEffects",
              (SELECT count(*) FROM ordered WHERE seq < before) "inversions",
              (SELECT count(*) FROM oracle.dead d WHERE NOT EXISTS
                (SELECT FROM oracle.produced p WHERE p.event_id = d.event_id AND p.kind = 'poison')) "innocents"`,
      [consumers],
    );
    if (!row) throw new Error('the oracle has no answer');
    return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)])) as unknown as Verdict;
  }

  /** Events that have to do with what went wrong: each one, and of inversions those just before and after it. */
  async suspects(consumers: readonly string[], limit = 5): Promise<{ what: string; eventIds: string[] }[]> {
    const inverted = await this.query<{ consumer: string; key: string; seq: number; before: number }>(
      `SELECT * FROM (SELECT e.consumer, p.key, p.seq, max(p.seq) OVER (PARTITION BY e.consumer, p.key ORDER BY e.n
           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) before
         FROM oracle.effect e JOIN oracle.produced p USING (event_id) WHERE p.key IS NOT NULL AND e.n IS NOT NULL) o
        WHERE seq < before LIMIT $1`,
      [limit],
    );
    const found: { what: string; eventIds: string[] }[] = [];
    for (const { consumer, key, seq, before } of inverted) {
      const near = await this.query<{ event_id: string; seq: number; n: number; at: string }>(
        `SELECT p.event_id, p.seq, e.n FROM oracle.produced p JOIN oracle.effect e USING (event_id)
          WHERE p.key = $1 AND e.consumer = $2 AND p.seq BETWEEN $3 AND $4 ORDER BY e.n`,
        [key, consumer, seq - 1, before + 1],
      );
      const order = near.map((row) => `${row.event_id} seq ${row.seq} n ${row.n}`).join(', ');
      found.push({
        what: `${consumer}: ${key} seq ${seq} after ${before} (${order})`,
        eventIds: near.map((row) => row.event_id),
      });
    }
    const lost = await this.query<{ consumer: string; event_id: string; key: string | null }>(
      `SELECT c consumer, p.event_id, p.key FROM oracle.produced p, unnest($1::text[]) c
        WHERE NOT EXISTS (SELECT FROM oracle.effect e WHERE e.event_id = p.event_id AND e.consumer = c)
          AND NOT EXISTS (SELECT FROM oracle.dead d WHERE d.event_id = p.event_id AND d.consumer = c) LIMIT $2`,
      [consumers, limit],
    );
    found.push(
      ...lost.map(({ consumer, event_id, key }) => ({
        what: `${consumer}: ${event_id} (${key}) is lost`,
        eventIds: [event_id],
      })),
    );
    const doubled = await this.query<{ consumer: string; event_id: string }>(
      'SELECT consumer, event_id FROM oracle.effect GROUP BY 1, 2 HAVING count(*) > 1 LIMIT $1',
      [limit],
    );
    found.push(
      ...doubled.map(({ consumer, event_id }) => ({ what: `${consumer}: ${event_id} twice`, eventIds: [event_id] })),
    );
    const innocents = await this.query<{ consumer: string; event_id: string }>(
      `SELECT consumer, event_id FROM oracle.dead d
        WHERE NOT EXISTS (SELECT FROM oracle.produced p WHERE p.event_id = d.event_id AND p.kind = 'poison') LIMIT $1`,
      [limit],
    );
    found.push(
      ...innocents.map(({ consumer, event_id }) => ({
        what: `${consumer}: ${event_id} is dead`,
        eventIds: [event_id],
      })),
    );
    return found;
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

/** Of the file that handlers append a line to when they begin. */
export function readRuns(file: string, effects: number): Runs {
  const counts = new Map<string, number>();
  let total = 0;
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [consumer, eventId] = line.split(' ');
    if (!eventId) continue;
    total += 1;
    const name = `${consumer} ${eventId}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  let most = 0;
  for (const count of counts.values()) most = Math.max(most, count);
  return { total, perEffect: effects === 0 ? 0 : Number((total / effects).toFixed(3)), most };
}

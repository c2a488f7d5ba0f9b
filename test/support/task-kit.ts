import { connectDatabase } from '../../src/database/connection.ts';
import { knexTransactions, resolveTransactions, type Transactions } from '../../src/database/transactions.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { Tasks, type TasksParts } from '../../src/task/tasks.ts';
import { type TestDatabase, testDatabase } from './test-database.ts';

/** Tables of the test file's own, and clients of tasks on them. */
export class TaskKit {
  readonly db: TestDatabase;
  readonly registry = new TaskRegistry();
  readonly transactions: Transactions;
  readonly #started: Tasks[] = [];

  private constructor(db: TestDatabase) {
    this.db = db;
    this.transactions = resolveTransactions(knexTransactions(), db.pool);
  }

  static async create(): Promise<TaskKit> {
    return new TaskKit(await testDatabase('task_test'));
  }

  get queue(): string {
    return `${this.db.schema}.tasks`;
  }

  async tasks(parts: Partial<TasksParts> = {}): Promise<Tasks> {
    const { registry, transactions, queue } = this;
    const { url, schema } = this.db;
    const tasks = new Tasks({
      registry,
      connect: (name) => connectDatabase({ url, applicationName: `${schema} ${name}` }),
      transactions,
      schema,
      queue,
      logger: silentLogger,
      ...parts,
    });
    this.#started.push(tasks);
    await tasks.start();
    return tasks;
  }

  /** What became of a task, as the row says. */
  async row(id: string): Promise<Record<string, unknown>> {
    const { rows } = await this.db.pg.query(`SELECT * FROM ${this.db.table('svc_comm_task')} WHERE id = $1`, [id]);
    return rows[0];
  }

  async close(): Promise<void> {
    await Promise.all(this.#started.map((tasks) => tasks.stop()));
    await this.db.close();
  }
}

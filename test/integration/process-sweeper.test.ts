import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase } from '../../src/database/connection.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { InstanceSweeper } from '../../src/process/sweeper.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

describe('one look after the instances of processes', () => {
  let db: TestDatabase;

  beforeAll(async () => {
    db = await testDatabase('process_sweeper_test');
  });
  afterAll(() => db.close());

  const instances = () => db.table('svc_comm_process_instance');
  const look = async () => {
    const connection = await connectDatabase({ url: db.url, applicationName: 'sweeper' });
    const sweeper = new InstanceSweeper({
      withDatabase: (work) => work(connection),
      schema: db.schema,
      everyMs: 3_600_000,
      retentionMs: 86_400_000,
      logger: silentLogger,
    });
    await sweeper.start();
    return async () => {
      await sweeper.stop();
      await connection.close();
    };
  };

  it('ends all that servers have left behind, however many they were', async () => {
    await db.pg.query(
      `INSERT INTO ${instances()} (id, process, request, fingerprint, owner, lease_until)
        SELECT gen_random_uuid(), 'p', '{}', '', gen_random_uuid(), now() - interval '1 minute'
          FROM generate_series(1, 250)`,
    );
    const end = await look();
    await expect.poll(() => db.count('svc_comm_process_instance', `state = 'Failed'`)).toBe(250);
    await end();
  });

  it('forgets all that are over their retention, however many have ended since the last one', async () => {
    await db.pg.query(
      `INSERT INTO ${instances()} (id, process, request, fingerprint, state, finished_at)
        SELECT gen_random_uuid(), 'old', '{}', '', 'Complete', now() - interval '2 days' FROM generate_series(1, 2500)`,
    );
    const end = await look();
    await expect.poll(() => db.count('svc_comm_process_instance', `process = 'old'`)).toBe(0);
    await end();
  });
});

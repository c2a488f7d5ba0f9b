import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { testDatabaseUrl } from '../support/servers.ts';
import { ServiceKit } from '../support/service-kit.ts';

let kit: ServiceKit;
let role: string;
beforeAll(async () => {
  kit = await ServiceKit.open('task_rights');
  await kit.service('migrate').migrate();
  role = `${kit.name}_role`;
  await kit.pg.query(`CREATE ROLE ${role} LOGIN`);
  await kit.pg.query(`GRANT USAGE ON SCHEMA "${kit.name}" TO ${role}`);
});
afterEach(() => kit.pg.query(`ALTER TABLE ${kit.table('svc_comm_task')} DISABLE ROW LEVEL SECURITY`));
afterAll(async () => {
  await kit.pg.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  await kit.close();
});

const all = 'SELECT, INSERT, UPDATE, DELETE';

it.each([
  ['may read our tables only', ['GRANT SELECT ON ALL TABLES IN SCHEMA $S TO $R'], 'no UPDATE on svc_comm_task'],
  [
    'is kept out by row level security',
    [`GRANT ${all} ON ALL TABLES IN SCHEMA $S TO $R`, 'ALTER TABLE $S.svc_comm_task ENABLE ROW LEVEL SECURITY'],
    'row level security with no policy for SELECT on svc_comm_task',
  ],
])(
  'a worker whose database user %s does not start: tasks would wait for ever, with a worker there',
  async (_what, statements, says) => {
    for (const statement of statements) {
      await kit.pg.query(statement.replaceAll('$S', `"${kit.name}"`).replaceAll('$R', role));
    }
    const url = new URL(testDatabaseUrl());
    url.username = role;
    const service = kit.service('worker', { databaseUrl: url.href });
    const findings = await service.examine();
    expect(findings).toContainEqual(
      expect.objectContaining({ code: 'table-rights', text: expect.stringContaining('svc_comm_task') }),
    );
    const started = service.worker({ files: [] }).start();
    await expect(started).rejects.toMatchObject({ code: 'SVC_COMM_DATABASE_RIGHTS' });
    await expect(started).rejects.toThrow(says);
  },
);

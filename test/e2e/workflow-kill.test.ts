import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AmqpLab } from '../support/amqp-lab.ts';
import { GateProxy, type Passing } from '../support/gate-proxy.ts';
import { testBrokerUrl, testDatabaseUrl } from '../support/servers.ts';
import { type Running, WorkflowKit } from '../support/workflow-kit.ts';

// examples/workflow is killed (SIGKILL) between each two steps of GET /workflow/consume. The steps are seen from outside,
// in what passes between the process and its servers: a proxy holds the next one back until the process is dead.

/** AMQP 0-9-1: class basic (60), and its methods, as they stand in a method frame. */
const amqp = (method: number): string => `\0\x3c\0${String.fromCharCode(method)}`;
const GET = amqp(70);
const GET_OK = amqp(71);
const ACK = amqp(80);

const toServer =
  (pattern: RegExp) =>
  ({ direction, text }: Passing): boolean =>
    direction === 'to-server' && pattern.test(text);
const UPDATE = /update "\w+"\."workflow"/i;
/** The handler's transaction: the only one that updates a workflow. */
const transactionOf = (sent: string): string => sent.slice(sent.lastIndexOf('BEGIN'));
const commits = ({ direction, text, sent }: Passing): boolean =>
  direction === 'to-server' && /COMMIT/.test(text) && UPDATE.test(transactionOf(sent));
const committed = ({ direction, sent }: Passing): boolean =>
  direction === 'to-client' && /update "\w+"\."workflow"[\s\S]*COMMIT/i.test(transactionOf(sent));

interface Point {
  readonly name: string;
  readonly proxy: 'broker' | 'database';
  readonly matches: (passing: Passing) => boolean;
  /** The held step itself gets through. */
  readonly lets?: boolean;
  /** Whether the workflow is consumed when the process is dead: its CSV may be lost with the answer then, and can be had again. */
  readonly isConsumed: boolean;
}

const POINTS: readonly Point[] = [
  {
    name: 'before basic.get',
    proxy: 'broker',
    matches: ({ direction, text }) => direction === 'to-server' && text.includes(GET),
    isConsumed: false,
  },
  {
    name: 'after the broker gave the message, before it came',
    proxy: 'broker',
    matches: ({ direction, text }) => direction === 'to-client' && text.includes(GET_OK),
    isConsumed: false,
  },
  {
    name: 'before the inbox row',
    proxy: 'database',
    matches: toServer(/svc_comm_inbox|claim_inbox/),
    isConsumed: false,
  },
  { name: 'after the inbox row, before the UPDATE', proxy: 'database', matches: toServer(UPDATE), isConsumed: false },
  { name: 'after the UPDATE, before COMMIT', proxy: 'database', matches: commits, isConsumed: false },
  { name: 'after COMMIT, before its answer', proxy: 'database', matches: committed, isConsumed: true },
  {
    name: 'after the answer to COMMIT, before the ack',
    proxy: 'broker',
    matches: ({ direction, text }) => direction === 'to-server' && text.includes(ACK),
    isConsumed: true,
  },
  {
    name: 'after the ack',
    proxy: 'broker',
    matches: ({ direction, text }) => direction === 'to-server' && text.includes(ACK),
    lets: true,
    isConsumed: true,
  },
];

let kit: WorkflowKit;
let broker: GateProxy;
let database: GateProxy;
let outside: pg.Client;
/** What took over from the last one that was killed. */
let running: Running;

beforeAll(async () => {
  kit = await WorkflowKit.open();
  broker = await GateProxy.to(testBrokerUrl(), 5672);
  database = await GateProxy.to(testDatabaseUrl(), 5432);
  outside = new pg.Client(testDatabaseUrl());
  await outside.connect();
  running = await start();
  // Each change of a status leaves a line, outside of what the service knows.
  await outside.query(`
    CREATE TABLE "${kit.name}".consumed (uuid uuid);
    CREATE FUNCTION "${kit.name}".note() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO "${kit.name}".consumed VALUES (NEW.uuid); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER UPDATE OF status ON "${kit.name}".workflow
      FOR EACH ROW WHEN (NEW.status = 'consumed') EXECUTE FUNCTION "${kit.name}".note();`);
});

afterAll(async () => {
  await outside.end();
  await kit.close();
  await Promise.all([broker.close(), database.close()]);
  await kit.clean();
});

const start = (): Promise<Running> =>
  kit.start(kit.env({ broker: broker.url(testBrokerUrl()), database: database.url(testDatabaseUrl()) }));

async function insert({ url }: Running): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/workflow`, { method: 'POST', headers, body: '{"data":{"a":1}}' });
  return ((await answer.json()) as { uuid: string }).uuid;
}

/** UUIDs of the CSVs that came, until nothing waits. */
async function consumeAll({ url }: Running): Promise<string[]> {
  const uuids: string[] = [];
  for (;;) {
    const answer = await fetch(`${url}/workflow/consume`);
    if (answer.status === 204) return uuids;
    expect(answer.status).toBe(200);
    uuids.push(uuidOf(answer));
  }
}

const uuidOf = ({ headers }: Response): string =>
  /workflow-(.+)\.csv/.exec(headers.get('content-disposition') ?? '')?.[1] ?? 'none';

async function waiting(queue: string): Promise<number> {
  const lab = new AmqpLab(testBrokerUrl());
  try {
    return (await (await lab.channel()).checkQueue(queue)).messageCount;
  } finally {
    await lab.close();
  }
}

it.each(POINTS)('killed $name: nothing is lost, nothing is consumed twice', async (point) => {
  const { proxy, matches, lets = false, isConsumed } = point;
  const uuids = [await insert(running), await insert(running)];
  await expect.poll(() => waiting(kit.name), { timeout: 15_000 }).toBe(2);

  const reached = (proxy === 'broker' ? broker : database).arm(matches, lets);
  const answer = fetch(`${running.url}/workflow/consume`).then(
    (response) => [uuidOf(response)],
    () => [],
  );
  await reached;
  await running.stop('SIGKILL');
  broker.cut();
  database.cut();
  // The dead relay's leases would run for 10 s more.
  await outside.query(`UPDATE "${kit.name}".svc_comm_relay_lease SET until = clock_timestamp();
    DELETE FROM "${kit.name}".svc_comm_relay`);

  running = await start();
  const delivered = [...(await answer), ...(await consumeAll(running))];
  // What waits for its ack only is answered already, in all likelihood.
  const mayBeMissing = isConsumed && (await answer).length === 0;
  expect(delivered).toHaveLength(mayBeMissing ? 1 : 2);
  expect(uuids).toEqual(expect.arrayContaining(delivered));
  expect(new Set(delivered).size).toBe(delivered.length);
  for (const uuid of uuids) {
    const csv = await fetch(`${running.url}/workflow/${uuid}.csv`);
    expect(await csv.text()).toBe('a\r\n1\r\n');
    expect(await (await fetch(`${running.url}/workflow/${uuid}`)).json()).toMatchObject({ status: 'consumed' });
    const { rows } = await outside.query(`SELECT count(*)::int AS n FROM "${kit.name}".consumed WHERE uuid = $1`, [
      uuid,
    ]);
    expect(rows[0].n, `times that ${uuid} was consumed`).toBe(1);
  }
  expect(await waiting(kit.name)).toBe(0);
  expect(await waiting(`${kit.name}.dead`)).toBe(0);
});

it('SIGTERM ends it with exit code 0, and the message that waits stays', async () => {
  await insert(running);
  await expect.poll(() => waiting(kit.name), { timeout: 15_000 }).toBe(1);
  expect(await running.stop()).toBe(0);
  expect(await waiting(kit.name)).toBe(1);
});

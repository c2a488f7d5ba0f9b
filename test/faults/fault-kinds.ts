import { type Channel, connect } from 'amqplib';
import pg from 'pg';
import type { OwnRabbit } from '../support/own-servers.ts';
import type { Random } from './random.ts';
import type { Slot, SlotKind } from './slot.ts';
import type { World } from './world.ts';

/** Ends the fault; resolves when what it took away is there again. */
export type Heal = () => Promise<void>;

export interface FaultKind {
  /** Whom it can hit; a server's faults hit nobody's slot. */
  readonly hits: readonly SlotKind[] | 'broker' | 'database';
  /** How long it lasts, in ms. */
  readonly lastsMs: readonly [number, number];
  /** For clusters only. */
  readonly needsNodes?: number;
  /** Only where a scenario asks for it. */
  readonly isSpecial?: boolean;
  inject(world: World, slot: Slot | undefined, random: Random): Promise<Heal>;
}

const ALL: readonly SlotKind[] = ['producer', 'relay', 'consumer'];
const BROKER_USERS: readonly SlotKind[] = ['relay', 'consumer'];
const nothing: Heal = async () => undefined;

/** Faults of one process, or of its ways to the servers. */
const ofSlot = (
  hits: readonly SlotKind[],
  lastsMs: readonly [number, number],
  inject: (slot: Slot, world: World, random: Random) => Heal | Promise<Heal>,
): FaultKind => ({
  hits,
  lastsMs,
  async inject(world, slot, random) {
    if (!slot) throw new Error('a fault of a process has no process');
    return inject(slot, world, random);
  },
});

const ofServer = (
  hits: 'broker' | 'database',
  lastsMs: readonly [number, number],
  inject: (world: World, random: Random) => Promise<Heal>,
): FaultKind => ({ hits, lastsMs, inject: (world, _, random) => inject(world, random) });

/** Changes what the queues are bound for, until healed. */
const ofBindings = (
  harm: (channel: Channel) => Promise<unknown>,
  heal: (channel: Channel) => Promise<unknown>,
): FaultKind => ({
  hits: 'broker',
  lastsMs: [1000, 2000],
  isSpecial: true,
  async inject({ rabbit }) {
    const connection = await connect(rabbit.url);
    connection.on('error', () => undefined);
    const channel = await connection.createChannel();
    await harm(channel);
    return async () => {
      await heal(channel);
      await connection.close();
    };
  },
});

/** Changes how the slot's connections to the broker pass, until healed; `cutAtEnd` for what no TCP survives. */
const onAmqp = (slot: Slot, harm: (proxy: Slot['amqp'][number]) => void, cutAtEnd = false): Heal => {
  for (const proxy of slot.amqp) harm(proxy);
  return async () => {
    for (const proxy of slot.amqp) {
      proxy.heal();
      if (cutAtEnd) proxy.cut();
    }
  };
};
const onPg = (slot: Slot, harm: (proxy: Slot['pg']) => void, cutAtEnd = false): Heal => {
  harm(slot.pg);
  return async () => {
    slot.pg.heal();
    if (cutAtEnd) slot.pg.cut();
  };
};

const sql = async (world: World, statement: string): Promise<void> => {
  await world.oracle.query(statement);
};

/** The number is the first node's unless random says otherwise. */
const aNode = (world: World, random: Random): number => random.below(world.rabbit.urls.length);

export const FAULT_KINDS = {
  kill: ofSlot(ALL, [0, 1000], async (slot) => {
    await slot.kill9();
    return async () => void slot.start();
  }),
  // Three times the relays' lease, and longer than two heartbeats.
  freeze: ofSlot(ALL, [6000, 7000], (slot) => {
    const frozen = slot.role;
    frozen?.signal('SIGSTOP');
    return async () => frozen?.signal('SIGCONT');
  }),
  'roll over': ofSlot(ALL, [0, 500], async (slot, world) => {
    const code = await slot.stop();
    if (code !== 0) world.unaskedExits.push(`${slot.name} ended with ${code ?? 'a kill'} after SIGTERM`);
    return async () => void slot.start();
  }),
  'cut from broker': ofSlot(BROKER_USERS, [0, 0], (slot) => onAmqp(slot, (proxy) => proxy.cut())),
  'broker refuses': ofSlot(BROKER_USERS, [1000, 3000], (slot) =>
    onAmqp(slot, (proxy) => {
      proxy.refuse();
      proxy.cut();
    }),
  ),
  'broker half-open': ofSlot(BROKER_USERS, [3000, 6000], (slot) => onAmqp(slot, (proxy) => proxy.fallSilent(), true)),
  'broker hangs': ofSlot(BROKER_USERS, [2000, 5000], (slot) =>
    onAmqp(
      slot,
      (proxy) => {
        proxy.cut();
        proxy.fallSilent();
      },
      true,
    ),
  ),
  'broker slow': ofSlot(BROKER_USERS, [2000, 5000], (slot, _, random) =>
    onAmqp(slot, (proxy) => proxy.delay(20 + random.below(180))),
  ),
  'publishes vanish': ofSlot(BROKER_USERS, [1000, 3000], (slot) =>
    onAmqp(
      slot,
      (proxy) => {
        proxy.rule = ({ kind }) => (kind === 'basic.publish' ? 'hold' : 'pass');
      },
      true,
    ),
  ),
  'confirms vanish': ofSlot(['relay'], [1000, 5000], (slot) =>
    onAmqp(
      slot,
      (proxy) => {
        proxy.rule = ({ kind }, direction) => (kind === 'basic.ack' && direction === 'to-client' ? 'hold' : 'pass');
      },
      true,
    ),
  ),
  'acks vanish': ofSlot(['consumer'], [500, 3000], (slot) =>
    onAmqp(
      slot,
      (proxy) => {
        proxy.rule = ({ kind }, direction) => (kind === 'basic.ack' && direction === 'to-server' ? 'hold' : 'pass');
      },
      true,
    ),
  ),
  'cut in a publish': ofSlot(BROKER_USERS, [500, 2000], (slot) =>
    onAmqp(slot, (proxy) => {
      proxy.rule = ({ kind }) => (kind === 'content-body' ? 'half' : 'pass');
    }),
  ),
  'cut in a delivery': ofSlot(['consumer'], [500, 2000], (slot) =>
    onAmqp(slot, (proxy) => {
      proxy.rule = ({ kind }) => (kind === 'basic.deliver' ? 'half' : 'pass');
    }),
  ),
  'cut from database': ofSlot(ALL, [0, 0], (slot) => onPg(slot, (proxy) => proxy.cut())),
  'database refuses': ofSlot(ALL, [1000, 3000], (slot) =>
    onPg(slot, (proxy) => {
      proxy.refuse();
      proxy.cut();
    }),
  ),
  'database half-open': ofSlot(ALL, [3000, 6000], (slot) => onPg(slot, (proxy) => proxy.fallSilent(), true)),
  'database slow': ofSlot(ALL, [2000, 4000], (slot, _, random) =>
    onPg(slot, (proxy) => proxy.delay(5 + random.below(40))),
  ),
  'commit answers vanish': ofSlot(ALL, [500, 2000], (slot) =>
    onPg(slot, (proxy) => {
      proxy.rule = ({ kind, tag }) => (kind === 'complete' && tag === 'COMMIT' ? 'cut' : 'pass');
    }),
  ),
  'operator closes connections': ofServer('broker', [0, 0], async ({ rabbit }) => {
    await onSomeNode(rabbit, 'close_all_connections', 'closed by a fault');
    return nothing;
  }),
  'broker restarts': ofServer('broker', [0, 500], async ({ rabbit }, random) => {
    const node = random.below(rabbit.urls.length);
    await rabbit.flushDeclarations();
    await rabbit.kill9(node);
    return () => rabbit.restart(node);
  }),
  'broker application restarts': ofServer('broker', [200, 1000], async (world, random) => {
    const name = world.rabbit.nodeNames[aNode(world, random)] ?? '';
    await world.rabbit.ctl('stop_app', '--node', name);
    return async () => void (await world.rabbit.ctl('start_app', '--node', name));
  }),
  'memory alarm': ofServer('broker', [2000, 5000], async ({ rabbit }) => {
    const node = await onSomeNode(rabbit, 'set_vm_memory_high_watermark', '0');
    return async () => void (await rabbit.ctl('set_vm_memory_high_watermark', '0.4', '--node', node));
  }),
  'disk alarm': ofServer('broker', [2000, 5000], async ({ rabbit }) => {
    const node = await onSomeNode(rabbit, 'set_disk_free_limit', '1000000000000000');
    return async () => void (await rabbit.ctl('set_disk_free_limit', '50MB', '--node', node));
  }),
  // With two queues an event would reach the other one, and the broker would have nothing to say.
  'binding gone': ofBindings(
    (channel) => channel.unbindQueue('ordered', 'ledger', 'entry.#'),
    (channel) => channel.bindQueue('ordered', 'ledger', 'entry.#'),
  ),
  // What is returned then has others of its key beside it, which are not.
  'binding of one kind gone': ofBindings(
    async (channel) => {
      await channel.bindQueue('ordered', 'ledger', 'entry.plain');
      await channel.unbindQueue('ordered', 'ledger', 'entry.#');
    },
    async (channel) => {
      await channel.bindQueue('ordered', 'ledger', 'entry.#');
      await channel.unbindQueue('ordered', 'ledger', 'entry.plain');
    },
  ),
  'two nodes down': {
    hits: 'broker',
    lastsMs: [5000, 10_000],
    needsNodes: 3,
    async inject({ rabbit }) {
      await rabbit.flushDeclarations();
      await Promise.all([rabbit.kill9(1), rabbit.kill9(2)]);
      return async () => void (await Promise.all([rabbit.restart(1), rabbit.restart(2)]));
    },
  },
  'database restarts': ofServer('database', [0, 0], async ({ postgres }) => {
    await postgres.immediateRestart();
    return nothing;
  }),
  'database killed': ofServer('database', [0, 1000], async ({ postgres }) => {
    await postgres.kill9();
    return () => postgres.start();
  }),
  'backends terminated': ofServer('database', [0, 0], async (world) => {
    await sql(
      world,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'oracle'",
    );
    return nothing;
  }),
  'rows locked': ofServer('database', [2000, 4000], async ({ postgres }) => {
    const client = new pg.Client({ connectionString: postgres.url, application_name: 'oracle' });
    client.on('error', () => undefined);
    await client.connect();
    await client.query('BEGIN');
    await client.query('SELECT 1 FROM svc_comm_outbox ORDER BY id LIMIT 200 FOR UPDATE SKIP LOCKED');
    return async () => {
      // Its rows were let go already when the server went meanwhile.
      await client.query('ROLLBACK').catch(() => undefined);
      await client.end().catch(() => undefined);
    };
  }),
} satisfies Record<string, FaultKind>;

export type FaultName = keyof typeof FAULT_KINDS;
export const FAULT_NAMES = Object.keys(FAULT_KINDS) as FaultName[];

/** What one node is told holds for the cluster; another fault may have stopped some of them. @returns its name */
async function onSomeNode(rabbit: OwnRabbit, ...args: string[]): Promise<string> {
  let refusal: unknown;
  for (const node of rabbit.nodeNames) {
    try {
      await rabbit.ctl(...args, '--node', node);
      return node;
    } catch (error) {
      refusal = error;
    }
  }
  throw refusal;
}

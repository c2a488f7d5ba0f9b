import { v7 as uuidv7 } from 'uuid';
import type { DatabaseLink } from '../database/link.ts';
import { ServerLinks } from '../database/server-links.ts';
import { Telemetry } from '../telemetry/telemetry.ts';
import { Housekeeping } from './housekeeping.ts';
import { Intake } from './intake.ts';
import type { Isolation } from './isolation.ts';
import { Ledger } from './ledger.ts';
import { Peers } from './peers.ts';
import { Presence } from './presence.ts';
import { ProcessPool } from './process-pool.ts';
import { Runner } from './runner.ts';
import { Search } from './search.ts';
import { announceWorker } from './sql/announce.ts';
import { TaskWatch } from './watch.ts';
import type { WorkerParts } from './worker.ts';
import type { WorkerStats } from './worker-stats.ts';

/** A claim's plan is made when the outbox may be empty, and kept when it is not. */
const CLAIM_SETTINGS = Object.freeze({ jit: 'off', enable_seqscan: 'off' });

/** What one start of a worker is made of. */
export interface Workings {
  readonly db: DatabaseLink;
  /** For the ends of runs: claims need not wait for their commit, nor they for a claim's. */
  readonly ends: DatabaseLink;
  readonly watch: TaskWatch;
  readonly pool: ProcessPool;
  readonly ledger: Ledger;
  readonly intake: Intake;
  readonly runner: Runner;
  readonly housekeeping: Housekeeping;
}

/** Puts them together; nothing is started. */
export function assembleWorkings(parts: WorkerParts, isolation: Isolation, stats: WorkerStats): Workings {
  const { connect, schema, logger, listen, options, registry, nodeArguments, variables, load, onOutput } = parts;
  const owner = uuidv7();
  const queue = parts.topologySpec.queue.name;
  // On another server than that of the claim the end of a run finds no row.
  const links = new ServerLinks({ logger });
  const db = links.add({
    name: 'worker',
    connect: () => connect('worker', CLAIM_SETTINGS),
    onConnect: async () => housekeeping.reconnected(),
  });
  const ends = links.add({ name: 'worker ends', connect: () => connect('worker ends') });
  const { pollMs, leaseMs } = options;
  const watch = new TaskWatch({ connect: () => connect('worker listen'), db, schema, logger, pollMs, listen });
  const pool = new ProcessPool({
    nodeArguments,
    variables,
    load,
    isolation,
    ...options,
    onOutput: onOutput ?? (() => undefined),
    logger,
    environments: [...new Map(registry.definitions.map(({ env }) => [env.join(' '), env])).values()],
    onChange: () => {
      runner.fill();
      search.forWork();
    },
  });
  // Others are left to workers that can run them, or until this one can.
  const definitions = () => registry.definitions.filter(({ env }) => pool.isAble(env));
  const ledger = new Ledger({ db, ends, schema, owner, leaseMs, definitions });
  const peers = new Peers(owner);
  const presence = new Presence((word) => announceWorker(db, word, owner, queue));
  const intake = new Intake(
    logger,
    () => runner.fill(),
    (id) => peers.isOurs(id),
  );
  const search = new Search({ ledger, intake, runner: () => runner, concurrency: options.concurrency, logger });
  const runner: Runner = new Runner({
    ledger,
    pool,
    registry,
    options,
    stats,
    telemetry: parts.telemetry ?? new Telemetry(),
    logger,
    next: () => intake.take(),
    onClaimed: (offer, { task }) => {
      intake.begun(offer, !task.isUnsent);
      search.begun(offer);
    },
    onAgain: (id) => intake.mayWait(id),
    onBegin: (id, sinceMs) => housekeeping.begun(id, sinceMs),
    isOver: (id) => db.isClosed || housekeeping.isOver(id),
    onRoom: (isFull) => {
      presence.changed(isFull);
      if (!isFull) search.hasRoom();
    },
    onPlaceFree: (name) => search.forWork(name),
  });
  const housekeeping: Housekeeping = new Housekeeping({
    db,
    schema,
    owner,
    logger,
    options,
    runs: runner.runs,
    stats,
    lookForMissed: () => search.forMissed(),
    presence,
  });
  watch.watchAll((notice) => {
    if (notice.kind === 'cancel') runner.end(notice.id, 'cancel');
    else if (notice.kind === 'worker' && notice.queue === queue) {
      if (notice.id === owner) presence.heard(notice.word);
      peers.heard(notice.id, notice.word);
    } else if (notice.kind === 'waits' && notice.queue === queue) intake.told(notice.ids);
    else if (notice.kind === 'started' || notice.kind === 'ended') intake.startedSomewhere(notice.id);
  });
  return { db, ends, watch, pool, ledger, intake, runner, housekeeping };
}

import { randomUUID } from 'node:crypto';
import { tablesError } from '../database/database-error.ts';
import type { Listener } from '../database/listener.ts';
import { ALL_RIGHTS, assertTableRights, type NeededRights } from '../database/table-rights.ts';
import { DatabaseUnavailableError } from '../errors.ts';
import type { Clock } from '../lifecycle/clock.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { backoffMs } from '../util/backoff.ts';
import { Bell } from '../util/bell.ts';
import { sleep } from '../util/sleep.ts';
import { waitsUntilMs } from '../util/waits.ts';
import { censusMs, LeaseHolder } from './lease-holder.ts';
import { Promotion } from './promotion.ts';
import type { RelayParts } from './relay.ts';
import { RelayLanes } from './relay-lanes.ts';
import { RelayLinks } from './relay-links.ts';
import type { ResolvedRelayOptions } from './relay-options.ts';
import { RelayReader } from './relay-reader.ts';
import { RelaySender } from './relay-sender.ts';
import { RelaySettler } from './relay-settler.ts';
import type { RelayStats } from './relay-stats.ts';
import { Wakeup } from './wakeup.ts';
import { wakeupListener } from './wakeup-listener.ts';

const NEEDED: NeededRights = Object.freeze({
  svc_comm_outbox: ALL_RIGHTS,
  svc_comm_future: ['SELECT', 'DELETE'],
  svc_comm_relay: ALL_RIGHTS,
  svc_comm_relay_lease: ['SELECT', 'UPDATE'],
});
/** Rows of one key that wait in memory behind the one that is sent. */
const LANE_LIMIT = 256;
/** Pause after a read whose rows could all not be taken, in ms. */
const PASSED_OVER_MS = 10;
/** Longest time for the last writes of a stop, in ms. */
const FAREWELL_MS = 5000;

/** What `RelayParts` leaves open. */
interface RunSurroundings {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** One run of a relay, from start to stop: the parts, and the loops that call them. */
export class RelayRun {
  /** New for each run: what an earlier one of this process left behind belongs to somebody else. */
  readonly owner = randomUUID();
  readonly #parts: RelayParts;
  readonly #options: ResolvedRelayOptions;
  readonly #links: RelayLinks;
  readonly #lanes = new RelayLanes({ laneLimit: LANE_LIMIT });
  readonly #leases: LeaseHolder;
  readonly #wakeup: Wakeup;
  readonly #reader: RelayReader;
  readonly #sender: RelaySender;
  readonly #settler: RelaySettler;
  readonly #promotion: Promotion;
  readonly #census = new Bell();
  readonly #room = new Bell();
  readonly #quiet = new Bell();
  /** Aborted first: nothing more is read or sent. */
  readonly #intake = new AbortController();
  /** Aborted when all is settled. */
  readonly #upkeep = new AbortController();
  #hasConnected = false;
  readonly #intakeLoops: Promise<void>[] = [];
  readonly #upkeepLoops: Promise<void>[] = [];

  constructor(parts: RelayParts & RunSurroundings, options: ResolvedRelayOptions, stats: RelayStats) {
    this.#parts = parts;
    this.#options = options;
    const { schema, logger, telemetry, clock, pipe } = parts;
    const { owner } = this;
    const { batchSize, leaseMs, pollMs, restartMs, maxBackoffMs, unroutable } = options;
    this.#links = new RelayLinks({
      connect: (name, settings) => parts.connect({ name: `svc-comm relay ${name}`, settings }),
      logger,
      onLost: () => {
        stats.reconnects += 1;
      },
      onMoved: () => {
        // Nothing is read any more, and what is ours is given back.
        if (this.#upkeep.signal.aborted) return;
        this.#leases.serverChanged();
        this.#census.ring();
      },
    });
    const { read, write, control } = this.#links;
    const lanes = this.#lanes;
    this.#wakeup = new Wakeup({ db: control, owner, schema, pollMs, clock, logger, stats });
    this.#leases = new LeaseHolder({
      ...{ db: control, owner, schema, leaseMs, clock, logger },
      unsettled: (part) => lanes.unsettled(part),
      onChange: () => {
        lanes.dropRevoked();
        this.#wakeup.reset();
        this.#room.ring();
      },
    });
    this.#reader = new RelayReader({
      ...{ db: read, schema, batchSize, lanes, clock, stats },
      grants: () => this.#leases.live(),
    });
    this.#settler = new RelaySettler({
      ...{ db: write, owner, schema, batchSize, restartMs, maxBackoffMs, lanes, stats, logger },
      onSettled: () => {
        this.#room.ring();
        this.#quiet.ring();
      },
    });
    this.#sender = new RelaySender({
      ...{ pipe, lanes, settler: this.#settler, unroutable, clock, logger, stats, telemetry },
      onProgress: () => {
        if (lanes.wantsFullRead) this.#wakeup.kick();
        this.#room.ring();
        this.#quiet.ring();
      },
    });
    this.#promotion = new Promotion({ db: control, schema, batchSize, stats });
  }

  get isConnected(): boolean {
    return this.#links.isConnected;
  }
  get isParked(): boolean {
    return this.#wakeup.isParked;
  }
  get partitions(): readonly number[] {
    return this.#leases.live().map((grant) => grant.part);
  }
  get held(): number {
    return this.#lanes.size;
  }

  /**
   * Waits for the database, takes the first partitions, and lets the loops run.
   * @throws DatabaseAccessRefusedError, DatabaseRightsError, MigrationRequiredError
   */
  async start(signal: AbortSignal): Promise<void> {
    const { read, write, control } = this.#links;
    const { wait = true } = this.#parts;
    const untilMs = waitsUntilMs(wait);
    await control.open(signal, wait);
    this.#hasConnected = true;
    for (let attempt = 0; !(await this.#firstCensus(untilMs)); attempt++) {
      await sleep(backoffMs(attempt), signal);
      signal.throwIfAborted();
    }
    await Promise.all([read.open(signal, wait), write.open(signal, wait)]);
    this.#sender.open(this.#intake.signal);
    const { signal: intake } = this.#intake;
    const { signal: upkeep } = this.#upkeep;
    this.#upkeepLoops.push(
      this.#repeat('lease', upkeep, async () => {
        await this.#census.wait(upkeep, censusMs(this.#options.leaseMs));
        if (!upkeep.aborted) await this.#leases.runOnce();
      }),
      this.#settler.run(upkeep),
    );
    this.#intakeLoops.push(
      this.#repeat('read', intake, () => this.#readOnce(intake)),
      this.#repeat('promotion', intake, async () => {
        await sleep(await this.#promotion.runOnce(), intake);
      }),
    );
    if (this.#options.listen) this.#intakeLoops.push(this.#listener().run(intake));
  }

  /** Stops the intake, drains, writes back, gives the partitions to the others, closes. */
  async stop(): Promise<void> {
    const { drainMs } = this.#options;
    this.#intake.abort();
    this.#lanes.dropUnsent();
    await this.#settled(drainMs);
    this.#upkeep.abort();
    // a look for partitions that is under way could take some after they were given back
    await within(FAREWELL_MS, Promise.all(this.#upkeepLoops));
    if (this.#hasConnected) await within(FAREWELL_MS, this.#farewell());
    await this.#links.close();
    await Promise.all([...this.#upkeepLoops, ...this.#intakeLoops]);
  }

  async #farewell(): Promise<void> {
    try {
      await this.#settler.flush();
      await this.#leases.releaseAll();
    } catch (error) {
      // Tables that are missing, or not for us, hold none of our partitions; who looked for some has said so.
      if (tablesError(error)) return;
      this.#parts.logger.warn({ error }, 'the relay could not give its partitions back; they run out by themselves');
    }
  }

  async #settled(drainMs: number): Promise<void> {
    const late = AbortSignal.timeout(drainMs);
    while ((this.#sender.inFlight > 0 || this.#settler.pending > 0) && !late.aborted) await this.#quiet.wait(late);
    if (this.#sender.inFlight > 0) {
      this.#parts.logger.warn(
        { unconfirmed: this.#sender.inFlight },
        'stopped before the broker confirmed everything; the rest will be published again with the same ids',
      );
    }
  }

  /** @param untilMs then a database that is down is waited for no longer */
  async #firstCensus(untilMs: number): Promise<boolean> {
    try {
      await assertTableRights(this.#links.control, this.#parts.schema, NEEDED);
      await this.#leases.runOnce();
      return true;
    } catch (error) {
      const why = tablesError(error);
      if (why) throw why;
      if (performance.now() >= untilMs && error instanceof DatabaseUnavailableError) throw error;
      this.#parts.logger.warn({ error }, 'the relay could not take partitions; trying again');
      return false;
    }
  }

  async #readOnce(signal: AbortSignal): Promise<void> {
    while (!this.#reader.hasRoom && !signal.aborted) await this.#room.wait(signal);
    if (signal.aborted) return;
    this.#wakeup.reading();
    const { read, taken, isAll } = await this.#reader.runOnce();
    if (signal.aborted) {
      this.#lanes.dropUnsent();
      return;
    }
    if (read === 0) {
      await this.#wakeup.idle(signal);
      return;
    }
    this.#wakeup.busy();
    this.#sender.pump();
    if (taken === 0) await sleep(PASSED_OVER_MS, signal);
    else if (isAll) await this.#wakeup.dry(signal);
  }

  /** A loop that survives whatever its step throws: the database is down, mostly. */
  async #repeat(what: string, signal: AbortSignal, step: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      try {
        await step();
      } catch (error) {
        if (signal.aborted) return;
        this.#parts.logger.warn({ error, step: what }, 'a step of the relay failed; trying again');
        await sleep(this.#options.restartMs, signal);
      }
    }
  }

  #listener(): Listener {
    return wakeupListener({
      connect: () => this.#parts.connect({ name: 'svc-comm relay listen', settings: {} }),
      db: this.#links.control,
      owner: this.owner,
      logger: this.#parts.logger,
      members: () => this.#leases.members,
      onRows: () => this.#wakeup.notified(),
      onLeases: () => this.#census.ring(),
      onHears: (hears) => {
        this.#wakeup.hears = hears;
      },
    });
  }
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const done = new AbortController();
  await Promise.race([work.finally(() => done.abort()), sleep(ms, done.signal)]);
}

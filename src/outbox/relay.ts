import type { DatabaseConnection } from '../database/connection.ts';
import { assertSchemaName } from '../database/identifier.ts';
import { type Clock, systemClock } from '../lifecycle/clock.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import type { PublishPipe } from '../message/publisher.ts';
import { Telemetry } from '../telemetry/telemetry.ts';
import type { Waits } from '../util/waits.ts';
import { type RelayOptions, type ResolvedRelayOptions, resolveRelayOptions } from './relay-options.ts';
import { RelayRun } from './relay-run.ts';
import { emptyRelayStats, type RelayStats } from './relay-stats.ts';

export interface RelayConnectOptions {
  /** For `pg_stat_activity`. */
  readonly name: string;
  /** Session settings; see `ConnectionOptions.settings`. */
  readonly settings: Readonly<Record<string, string>>;
}

/** What a relay is made of. */
export interface RelayParts {
  /** Opens a connection of the relay's own; it takes four and makes lost ones anew. */
  readonly connect: (options: RelayConnectOptions) => Promise<DatabaseConnection>;
  /** The broker. It must be running before the relay starts, and until it has stopped. */
  readonly pipe: PublishPipe;
  /** Where our tables are; not quoted. */
  readonly schema: string;
  readonly logger: Logger;
  /** @default spans for the OpenTelemetry of the process */
  readonly telemetry?: Telemetry;
  readonly clock?: Clock;
  /** Whether `start` waits for a database that is down; else it fails. @default true */
  readonly wait?: Waits;
  readonly options?: RelayOptions;
}

/**
 * Moves what waits in the outbox to the broker, in the order of commits within a key, and deletes each row after the
 * broker's confirm. Any number of relays share the work; when one dies, the others go on after its lease has run out.
 *
 * If the process dies: rows not yet read lose nothing; rows in flight, and rows confirmed whose delete was not
 * committed, are published once more with the same message id. `docs/relay-states.md` draws the states.
 */
export class Relay implements Service {
  readonly stats: Readonly<RelayStats>;
  readonly #lifecycle: Lifecycle;
  #run: RelayRun | undefined;

  /** @throws InvalidArgumentError for wrong options */
  constructor(parts: RelayParts) {
    const options: ResolvedRelayOptions = resolveRelayOptions(parts.options);
    assertSchemaName(parts.schema);
    const stats = emptyRelayStats();
    this.stats = stats;
    this.#lifecycle = new Lifecycle('relay', {
      start: async (signal) => {
        this.#run = new RelayRun({ clock: systemClock, telemetry: new Telemetry(), ...parts }, options, stats);
        await this.#run.start(signal);
      },
      stop: async () => {
        await this.#run?.stop();
        this.#run = undefined;
      },
    });
  }

  get name(): string {
    return this.#lifecycle.name;
  }
  get state(): ServiceState {
    return this.#lifecycle.state;
  }
  /** Partitions held now. */
  get partitions(): readonly number[] {
    return this.#run?.partitions ?? [];
  }
  /** Whether it has nothing to do and waits to be notified. */
  get isParked(): boolean {
    return this.#run?.isParked ?? false;
  }
  /** Whether the database can be asked at the moment. */
  get isConnected(): boolean {
    return this.#run?.isConnected ?? false;
  }
  /** Rows in memory. */
  get held(): number {
    return this.#run?.held ?? 0;
  }

  /**
   * Resolves when it holds its first partitions (none, when others hold all) and reads. Waits for the database.
   * @throws DatabaseAccessRefusedError, DatabaseRightsError, MigrationRequiredError; DatabaseUnavailableError when `wait` is off
   */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  /** Finishes what is in flight, gives the partitions to the other relays, closes the connections. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }
}

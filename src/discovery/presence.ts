import { v7 } from 'uuid';
import { EMPTY_OFFER, type Offer, type ServiceDescription, type ServiceRole } from './description.ts';

/** A role that a process has taken on, as long as it has it. */
export interface RoleReport {
  readonly role: ServiceRole;
  /** Asked at each heartbeat. */
  isWorking(): boolean;
  /** Another one when `offer` may give something else. Asked at each heartbeat: it must cost nothing. */
  stamp(): string;
  offer(): Offer;
}

/** What is the same for all roles of a process. */
export type ServiceIdentity = Pick<ServiceDescription, 'version' | 'library' | 'host' | 'pid' | 'queue'>;

/** Who speaks for a presence. */
export interface Speaker {
  /** It may have become the one who speaks, or there is something else to say. */
  onChange(): void;
}

/** One service in one process: its roles come and go, and are told of together. */
export class Presence {
  readonly instance = v7();
  readonly name: string;
  readonly #identity: ServiceIdentity;
  #since = '';
  readonly #reports = new Set<RoleReport>();
  readonly #speakers = new Set<Speaker>();

  constructor(name: string, identity: ServiceIdentity) {
    this.name = name;
    this.#identity = identity;
  }

  /** @returns ends it */
  enter(report: RoleReport): () => void {
    if (this.isEmpty) this.#since = new Date().toISOString();
    this.#reports.add(report);
    this.#changed();
    return () => {
      if (this.#reports.delete(report)) this.#changed();
    };
  }

  /** One of several speaks: several services of one process may be parts of one (`svc-comm dev`). @returns ends it */
  join(speaker: Speaker): () => void {
    this.#speakers.add(speaker);
    return () => {
      if (this.#speakers.delete(speaker)) this.#changed();
    };
  }

  isSpeaker(speaker: Speaker): boolean {
    const [first] = this.#speakers;
    return first === speaker;
  }

  /** With no role there is nothing to tell of. */
  get isEmpty(): boolean {
    return this.#reports.size === 0;
  }

  get failing(): readonly ServiceRole[] {
    return unique([...this.#reports].filter((report) => !report.isWorking()).map(({ role }) => role));
  }

  /** Another one when `describe` may give something else. */
  get stamp(): string {
    return [...this.#reports].map((report) => `${report.role} ${report.stamp()}`).join('\n');
  }

  describe(): ServiceDescription {
    const told = [...this.#reports].map((report) => ({ role: report.role, offer: report.offer() }));
    const offers = told.map(({ offer }) => offer);
    // Contracts are known to the whole process; which of them the service takes itself knows whoever has its consumers.
    const consumers = told.filter(({ role }) => role === 'consumer').map(({ offer }) => offer);
    return {
      ...this.withoutOffer(),
      binds: distinct(offers.flatMap(({ binds }) => binds)),
      consumes: distinct(offers.flatMap(({ consumes }) => consumes)),
      publishes: distinct((consumers.length > 0 ? consumers : offers).flatMap(({ publishes }) => publishes)),
      tasks: distinct(offers.flatMap(({ tasks }) => tasks)),
      processes: distinct(offers.flatMap(({ processes }) => processes)),
      omitted: [],
    };
  }

  withoutOffer(): ServiceDescription {
    const roles = unique([...this.#reports].map(({ role }) => role));
    return { ...this.#identity, since: this.#since, roles, ...EMPTY_OFFER, omitted: ['everything'] };
  }

  #changed(): void {
    for (const speaker of this.#speakers) speaker.onChange();
  }
}

const unique = (roles: readonly ServiceRole[]): ServiceRole[] => [...new Set(roles)];

/** Roles that know the same tell the same. */
function distinct<T>(entries: readonly T[]): T[] {
  return [...new Map(entries.map((entry) => [JSON.stringify(entry), entry])).values()];
}

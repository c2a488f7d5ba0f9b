import { randomBytes } from 'node:crypto';

/** What the demo does, in numbers. What came of it is read back from the broker and the tables. */
export const SCENARIO = Object.freeze({
  orders: 60,
  /** Every so many, the transaction fails after the order and its event were written. */
  rollBackEvery: 6,
  /** Milliseconds between two orders: slow enough to be watched. */
  paceMs: 100,
  /** The label printer jams twice for this one. */
  jammedOrder: 7,
  /** Nobody can ship this one. */
  poisonOrder: 13,
  /** Customers whose orders stay in their order. */
  customers: 5,
  reminded: { order: 1, afterMs: 2500 },
  cancelled: { order: 2, afterMs: 4000 },
  /** Messages that arrive twice, as when a relay dies between the broker's confirm and its delete. */
  copyEvery: 10,
  attempts: 3,
  retryDelay: '400ms',
} as const);

export interface DemoOptions {
  /** @default 'embedded:memory' */
  readonly brokerUrl?: string | undefined;
  /** @default 'embedded:memory' */
  readonly databaseUrl?: string | undefined;
  /** Takes a rule away, to see that the figures tell. */
  readonly sabotage?: Sabotage | undefined;
}

export const SABOTAGES = ['no-inbox'] as const;
export type Sabotage = (typeof SABOTAGES)[number];

/** Names of this run's own: another's queues and schemas are not touched. */
export interface DemoNames {
  readonly exchange: string;
  readonly shopQueue: string;
  readonly postQueue: string;
  /** Gets a copy of everything that is published, and nobody takes it out. */
  readonly auditQueue: string;
  readonly gremlinQueue: string;
  readonly shopSchema: string;
  readonly postSchema: string;
}

export function demoNames(): DemoNames {
  const run = randomBytes(3).toString('hex');
  return {
    exchange: `demo-${run}-order`,
    shopQueue: `demo-${run}-shop`,
    postQueue: `demo-${run}-post`,
    auditQueue: `demo-${run}-audit`,
    gremlinQueue: `demo-${run}-gremlin`,
    shopSchema: `demo_${run}_shop`,
    postSchema: `demo_${run}_post`,
  };
}

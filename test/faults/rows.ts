/** A test of the suites: file under `test/`, and a part of its title. */
export type TestName = readonly [file: string, title: string];

/** One of the ways in which systems like this one are known to fail. */
export interface Row {
  readonly row: number;
  readonly mode: string;
  /** Of docs/guarantees.md, or what is done about it. */
  readonly promise: string;
  readonly tests: readonly TestName[];
  /** How often, how many: of the tests, or of each run of the tier pr. */
  readonly n?: string;
  /** Why there is no test of it, or of all of it. */
  readonly but?: string;
}
const TIER = 'every seed of the tier pr may bring it';

export const ROWS: readonly Row[] = [
  {
    row: 1,
    mode: 'an error of one channel ends connection or process',
    promise: 'P12',
    tests: [
      ['integration/broker-publish-faults.test.ts', 'one publish to a missing exchange among 50 is refused alone'],
      ['integration/broker-subscribe.test.ts', 'a queue deleted under its consumer is made again'],
    ],
    n: '50 messages, 1 guilty',
  },
  {
    row: 2,
    mode: 'an ack on another channel than the delivery’s',
    promise: 'P2',
    tests: [
      [
        'integration/broker-subscribe.test.ts',
        'after a cut the deliveries of before are lost: their settles send nothing',
      ],
    ],
    n: 'unknown delivery tags in the broker’s log of every pr run: 0',
  },
  {
    row: 3,
    mode: 'confirms that never come',
    promise: 'P4',
    tests: [
      ['integration/broker-publish-faults.test.ts', 'a confirm that does not come settles as unknown in time'],
      ['integration/broker-publish-faults.test.ts', 'a connection cut with 500 in flight settles each offer once'],
    ],
    n: '500 in flight',
  },
  {
    row: 4,
    mode: 'a blocked connection fills the memory',
    promise: 'P5',
    tests: [
      [
        'integration/broker-publish.test.ts',
        '5,000 offers arrive in the order offered, never more than the limit in flight',
      ],
      ['integration/broker-publish-faults.test.ts', 'while the broker blocks us nothing is sent'],
    ],
    n: `5,000 offers; memory and disk alarms: ${TIER}`,
    but: 'growth of memory over 120 s of an alarm is not measured',
  },
  {
    row: 5,
    mode: 'what reaches no queue is lost and its row deleted',
    promise: 'P1, P13',
    tests: [
      ['integration/relay-publish.test.ts', "holds a row that reaches no queue when the policy is 'keep'"],
      [
        'integration/broker-publish.test.ts',
        'an unroutable message is told to its caller alone, among 1,000 neighbours',
      ],
    ],
    n: '1 of 1,001; scenario `bindings come and go`',
  },
  {
    row: 6,
    mode: 'a consumer that the broker cancelled consumes no more',
    promise: 'P12',
    tests: [
      [
        'integration/broker-subscribe.test.ts',
        'a queue deleted under its consumer is made again and consumed within 5 s, by one consumer',
      ],
      [
        'integration/consumer-faults.test.ts',
        'when its queue is deleted, the consumer makes it again and consumes within 5 s',
      ],
    ],
    n: '1 deletion each',
  },
  {
    row: 7,
    mode: 'connected, and nothing is delivered',
    promise: 'given up within 45 s',
    tests: [
      [
        'integration/broker-stall.test.ts',
        'is given up for the next node when messages wait and there is room for them',
      ],
      ['integration/broker-stall.test.ts', 'is found within 45 s by the times of the settings'],
    ],
  },
  {
    row: 8,
    mode: 'heartbeats missed under load',
    promise: 'P2',
    tests: [['integration/broker-connection.test.ts', 'missed heartbeats are a loss, and the connection is made anew']],
    n: `processes frozen for three leases: ${TIER}`,
    but: 'handlers in processes of their own come with tasks',
  },
  {
    row: 9,
    mode: 'half-open connections, sockets that are left behind',
    promise: 'P12',
    tests: [
      [
        'integration/broker-connection.test.ts',
        'twenty losses in a row leave no socket, no listener and one connection behind',
      ],
      ['integration/broker-connection.test.ts', 'a node that accepts and says nothing is given up in time'],
    ],
    n: '20 losses',
  },
  {
    row: 10,
    mode: 'reconnect storms',
    promise: 'jittered back-off',
    tests: [
      ['unit/util.test.ts', 'stays above 0 and below the doubling ceiling and the maximum, for every attempt and draw'],
    ],
    but: 'the load of fifty clients is not measured',
  },
  {
    row: 11,
    mode: 'a topology that differs',
    promise: 'told at the start, all of it',
    tests: [
      ['integration/broker-topology.test.ts', 'create names every difference at once, readably, and makes nothing'],
    ],
  },
  {
    row: 12,
    mode: 'a header or a frame too large',
    promise: 'refused before it is written; dead-lettered unread',
    tests: [
      [
        'integration/consumer-malformed.test.ts',
        'headers that leave no room for ours lose their largest, by name, and the message still gets away',
      ],
      ['integration/broker-publish.test.ts', 'a body larger than what may be in flight goes'],
    ],
  },
  {
    row: 13,
    mode: 'a poison message spins',
    promise: 'P6',
    tests: [
      [
        'integration/consumer-retry.test.ts',
        'one poison message among 1,000 runs exactly `attempts` times, the others once',
      ],
    ],
    n: '1 of 1,000; in each pr run one in a thousand',
  },
  {
    row: 14,
    mode: 'a message that kills the process takes its neighbours with it',
    promise: 'P7',
    tests: [
      ['e2e/crashing-message.test.ts', ''],
      ['integration/consumer-crash.test.ts', 'run one at a time with nothing beside them'],
    ],
  },
  {
    row: 15,
    mode: 'dead-lettering loses messages',
    promise: 'P6',
    tests: [
      ['integration/consumer-confirm.test.ts', 'a message whose copy for'],
      [
        'integration/consumer-faults.test.ts',
        'dead letters whose queue was deleted meanwhile wait until it is made again, and none is lost',
      ],
    ],
    n: 'failpoints C6 and C7',
  },
  {
    row: 16,
    mode: 'the broker’s consumer timeout',
    promise: 'handlers end after 10 min, before the broker’s 30',
    tests: [],
    but: 'RabbitMQ 3.10 looks once a minute: longer than a row may take. Durable tasks are for longer work',
  },
  {
    row: 17,
    mode: 'per-message TTL expires at the head of a queue only',
    promise: 'delays have queues of their own, or a table',
    tests: [
      ['integration/broker-topology.test.ts', 'a message in a retry queue is back in the work queue after its delay'],
      ['integration/relay-future.test.ts', 'are sent when they are due and within a second'],
      ['integration/commands.test.ts', 'a command with a TTL of 1 s to a stopped consumer is not executed'],
    ],
  },
  {
    row: 18,
    mode: 'clocks that differ',
    promise: 'P8',
    tests: [['integration/commands.test.ts', 'deadline.skewTolerance runs late rather than dropping early']],
    but: 'clocks of whole machines are not moved; the database’s clock is asked instead',
  },
  {
    row: 19,
    mode: 'a call that hangs, a late or foreign answer',
    promise: 'each call settles once, at its deadline at the latest',
    tests: [
      ['integration/calls.test.ts', 'at the deadline it is a CallTimeoutError'],
      [
        'integration/calls.test.ts',
        'late and foreign answers are counted and dropped, and a second answer settles nothing',
      ],
      ['integration/calls.test.ts', 'a connection that is lost while a call waits ends it at once'],
    ],
  },
  {
    row: 20,
    mode: 'a stop loses what is under way, or goes on taking',
    promise: 'P9',
    tests: [
      [
        'integration/consumer-stop.test.ts',
        'nothing is lost or handled twice by consumers that are stopped under load',
      ],
      ['unit/lifecycle.test.ts', 'drains on the first SIGTERM and exits 0'],
    ],
    n: `every process of every pr run ends by SIGTERM, with exit code 0; roll-overs: ${TIER}`,
  },
  {
    row: 21,
    mode: 'publish, then exit',
    promise: 'P4',
    tests: [['integration/broker-publish.test.ts', 'stop waits for the confirms; after it nothing is taken']],
  },
  {
    row: 22,
    mode: 'a high-water mark of ids passes late commits over',
    promise: 'P1, P3',
    tests: [
      ['integration/relay-order.test.ts', 'sends a row that was committed late before the later ones of its key'],
      ['integration/commit-order.test.ts', 'of two writers of a key the second waits for the commit of the first'],
    ],
    n: 'scenario `commits come late`; in each pr run one transaction in fifty is open for up to 500 ms',
  },
  {
    row: 23,
    mode: 'two relays send twice, or reorder',
    promise: 'P3, P10',
    tests: [
      ['integration/relay-lease.test.ts', 'take over from one that died within its lease and two seconds'],
      [
        'integration/relay-lease.test.ts',
        'share the partitions, and hand them over without sending anything twice or out of order',
      ],
    ],
    n: 'failpoints R1 to R4',
  },
  {
    row: 24,
    mode: 'the one behind overtakes the one that failed',
    promise: 'P3',
    tests: [
      [
        'integration/relay-order.test.ts',
        'sends whatever its outcomes each key in order, when one message in ten fails and one in ten is unknown',
      ],
      [
        'integration/consumer-faults.test.ts',
        'when the connection is lost while a failed message rests, those behind it do not overtake it',
      ],
      [
        'integration/consumer-keys.test.ts',
        'messages of a key are handled one at a time and in order at concurrency 20',
      ],
    ],
    n: 'scenario `one kind is not bound`',
  },
  {
    row: 25,
    mode: 'two leaders',
    promise: 'P3, P10',
    tests: [
      ['integration/relay-lease.test.ts', 'delete nothing under an epoch that has passed'],
      [
        'integration/relay-lease.test.ts',
        'stop publishing when the lease cannot be renewed, before another may take over',
      ],
    ],
    n: 'failpoint R5',
  },
  {
    row: 26,
    mode: 'rows stuck between two states',
    promise: 'P1',
    tests: [['unit/model.test.ts', 'outbox, two relays, broker and two consumers keep P1, P2 and P3']],
    n: 'rows left after every pr run and all failpoints: 0',
  },
  {
    row: 27,
    mode: 'a notification that is lost, a LISTEN that is dead',
    promise: 'P10',
    tests: [
      [
        'integration/relay-wakeup.test.ts',
        'is replaced by polling when the listening connection is lost, and comes back',
      ],
      [
        'integration/relay-wakeup.test.ts',
        'comes for a commit that looked at the flag before it was set and ended after',
      ],
    ],
  },
  {
    row: 28,
    mode: 'NOTIFY makes commits wait for each other',
    promise: 'none while there is much to do',
    tests: [['integration/relay-wakeup.test.ts', 'costs committers no notification while there is much to do']],
  },
  {
    row: 29,
    mode: 'bloat while a snapshot is held',
    promise: 'rows are inserted and deleted only',
    tests: [],
    but: 'not measured; what it does, and where to look, says docs/operations.md',
  },
  {
    row: 30,
    mode: 'locks that the relay waits for',
    promise: 'no transaction over broker I/O',
    tests: [
      ['integration/relay-lease.test.ts', 'delete the others of a batch while somebody holds locks on some rows'],
    ],
    n: `rows locked: ${TIER}`,
  },
  {
    row: 31,
    mode: 'an error of a database connection ends the process',
    promise: 'P12',
    tests: [
      [
        'integration/database-pool.test.ts',
        'when all our backends are terminated, callers get an error each and the next statements work',
      ],
    ],
    n: `restarts, kills and terminated sessions: ${TIER}`,
  },
  {
    row: 32,
    mode: 'the answer to COMMIT is lost',
    promise: 'looked up; the consumer’s inbox decides',
    tests: [['integration/commit-lost.test.ts', '']],
    n: `failpoints P3 and C4; answers that vanish: ${TIER}`,
  },
  {
    row: 33,
    mode: 'events of transactions that rolled back',
    promise: 'P1',
    tests: [['integration/other-libraries-transactions.test.ts', 'takes the event with it when it rolls back']],
    n: 'one transaction in ten of every pr run',
  },
  {
    row: 34,
    mode: 'copies that are handled at the same time',
    promise: 'P2',
    tests: [['integration/inbox.test.ts', 'the same message fifty times at once has one effect']],
    n: '50 copies',
  },
  {
    row: 35,
    mode: 'a copy that comes after its inbox row was forgotten',
    promise: 'not promised: `inbox.retention` is yours to choose; `dlq redrive` refuses what is older',
    tests: [
      ['integration/inbox.test.ts', 'retention forgets what is older, in batches, and nothing else'],
      [
        'integration/dead-letters.test.ts',
        'what was given up longer ago than the inbox remembers is refused, its key waits, and force puts it back',
      ],
    ],
  },
  {
    row: 36,
    mode: 'a worker dies with a job',
    promise: 'P11',
    tests: [
      ['e2e/kill/task-failpoints.test.ts', 'T3, while it runs: every process of it goes, and it is begun anew'],
      ['integration/task-run.test.ts', 'whose process ends by itself has failed, and says how'],
    ],
    n: 'nine kills: TASK_FAILPOINT_TIMES for more',
  },
  {
    row: 37,
    mode: 'a job that runs twice',
    promise: 'P11',
    tests: [
      [
        'e2e/kill/task-frozen.test.ts',
        'what a worker writes of a task that was handed over while it stood still is not accepted',
      ],
    ],
    n: 'twice: TASK_FROZEN_TIMES for more',
  },
  {
    row: 38,
    mode: 'cancel, timeout and end race for a state',
    promise: 'P11',
    tests: [['integration/task-submit.test.ts', 'ends what waits at once, for good, and wakes who waits for it']],
    but: 'not raced by thousands',
  },
  {
    row: 39,
    mode: 'processes that outlive a kill',
    promise: 'P11',
    tests: [['integration/task-run.test.ts', 'takes all that it started with it, within the grace time and a second']],
  },
  {
    row: 40,
    mode: 'a limit that is looked at, then acted on',
    promise: 'P11',
    tests: [
      [
        'integration/task-submit.test.ts',
        'is never exceeded by 200 submits of 4 servers at the same time, and refuses the rest',
      ],
    ],
    n: '200 submits, 4 servers',
  },
  {
    row: 41,
    mode: 'a flood of output',
    promise: 'P11',
    tests: [['integration/task-run.test.ts', 'that prints a flood keeps the end of it, and no memory of the worker']],
  },
  {
    row: 42,
    mode: 'REST: stale tokens, no timeout, unsafe retries',
    promise: 'see docs/rest-api.md',
    tests: [['integration/rest-faults.test.ts', '']],
  },
  {
    row: 43,
    mode: 'keys of payloads converted',
    promise: 'payloads are never re-cased',
    tests: [
      [
        'wire/golden.test.ts',
        'an event with the mixed snake_case envelope and a numeric id is read, its payload not re-cased',
      ],
      ['wire/golden.test.ts', 'whatever is written as an event is read back the same'],
    ],
  },
];

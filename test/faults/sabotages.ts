import type { ScenarioName } from './scenarios.ts';

export interface Edit {
  /** Under `src/`. */
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly takes: string;
  readonly puts: string;
}

/** A rule taken away from a copy of the sources, and the scenario that has to notice. */
export interface Sabotage {
  readonly name: string;
  readonly scenario: ScenarioName;
  readonly edits: readonly Edit[];
}

const edit = (file: string, takes: string, puts: string): Edit => ({ file, takes, puts });

export const SABOTAGES: readonly Sabotage[] = [
  {
    name: 'ack before the handler',
    scenario: 'killed at the commit',
    edits: [edit('consumer/pipeline.ts', 'this.#running += 1;', 'this.#running += 1;\n    message.delivery.ack();')],
  },
  {
    name: 'no confirm',
    scenario: 'publishes vanish',
    edits: [
      edit(
        'broker/publish-channel.ts',
        'this.#window.push(entry);',
        'queueMicrotask(() => this.#events.onOutcome(entry, CONFIRMED));',
      ),
    ],
  },
  {
    name: 'no mandatory',
    scenario: 'bindings come and go',
    edits: [
      edit('broker/message-check.ts', 'isMandatory: !isDirectReply(exchange, routingKey),', 'isMandatory: false,'),
    ],
  },
  {
    name: 'delete before the confirm',
    scenario: 'publishes vanish',
    edits: [
      edit(
        'outbox/relay-sender.ts',
        'pipe.offer(\n      message,\n      (outcome) => this.#settle(row, outcome),',
        "this.#settle(row, { kind: 'confirmed' });\n    pipe.offer(\n      message,\n      () => undefined,",
      ),
    ],
  },
  {
    name: 'no inbox',
    scenario: 'killed after the commit',
    edits: [
      edit(
        'database/inbox-store.ts',
        "if (claim.isClaimed) return 'claimed';",
        "if (!claim.isParked) return 'claimed';",
      ),
    ],
  },
  {
    name: 'inbox outside of the transaction',
    scenario: 'killed at the commit',
    edits: [
      edit(
        'database/inbox-store.ts',
        'const found = await this.#claim(executor, request);',
        "const found = await this.#inOwn('claim', (own) => this.#claim(own, request));\n      void executor;",
      ),
    ],
  },
  {
    name: 'no lane for a key in the relay',
    scenario: 'one kind is not bound',
    edits: [
      edit(
        'outbox/relay-lanes.ts',
        "insertById(lane, this.#hold(row, 'waiting'));",
        "this.#makeReady(this.#hold(row, 'ready'));",
      ),
    ],
  },
  {
    name: 'a high-water mark of ids',
    scenario: 'commits come late',
    edits: [
      edit('outbox/relay-reader.ts', 'after: 0,', 'after: this.#mark,'),
      edit(
        'outbox/relay-reader.ts',
        'let taken = 0;',
        'let taken = 0;\n    this.#mark = Math.max(this.#mark, ...rows.map((row) => Number(row.id)));',
      ),
      edit('outbox/relay-reader.ts', 'readonly #maxHeld: number;', 'readonly #maxHeld: number;\n  #mark = 0;'),
    ],
  },
  {
    name: 'no lock of the key',
    scenario: 'commits come late',
    edits: [
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a source file
      edit('outbox/sql/enqueue.ts', 'SELECT pg_advisory_xact_lock(${KEY_LOCK_NAMESPACE}, h) FROM (', 'SELECT h FROM ('),
      edit(
        'outbox/sql/enqueue.ts',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a source file
        'SELECT pg_advisory_xact_lock(${KEY_LOCK_NAMESPACE}, hashtext($1::text)) WHERE',
        'SELECT hashtext($1::text) WHERE',
      ),
      edit(
        'outbox/sql/enqueue.ts',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a source file
        'FROM pg_advisory_xact_lock(${KEY_LOCK_NAMESPACE}, hashtext($1::text)) AS locked',
        'FROM hashtext($1::text) AS locked',
      ),
    ],
  },
  {
    name: 'requeue = true',
    scenario: 'much poison',
    edits: [
      edit(
        'consumer/pipeline.ts',
        'this.#settle(message, () => settler.retry(message, step.error, step.requestedMs));',
        'settler.release(message, step.error);\n        this.#lanes.rest();\n        this.#leave(message);',
      ),
    ],
  },
  {
    name: 'a delete under a stale epoch',
    scenario: 'lease held back',
    edits: [
      edit(
        'outbox/sql/delete-confirmed.ts',
        'l.epoch = g.epoch AND l.owner = $4::uuid)',
        'l.epoch >= g.epoch AND $4::uuid IS NOT NULL)',
      ),
    ],
  },
  {
    name: 'settled on the channel that is current',
    scenario: 'connections are cut under long runs',
    edits: [
      edit('consumer/pipeline.ts', '({ delivery }) => delivery.lost === lost', '() => false'),
      edit(
        'broker/delivery-channel.ts',
        'if (!this.isOpen) return this.#stale();\n    if (!this.#acks.finished(tag)) return false;',
        'if (!this.#acks.finished(tag)) return false;',
      ),
      edit(
        'broker/delivery-channel.ts',
        'setMaxListeners(0, this.#lost.signal);',
        'CURRENT.set(queue, this.#frames);\n    setMaxListeners(0, this.#lost.signal);',
      ),
      edit(
        'broker/delivery-channel.ts',
        'if (this.isOpen) this.#frames.ack(',
        '(CURRENT.get(this.queue) ?? this.#frames).ack(',
      ),
      edit(
        'broker/delivery-channel.ts',
        '/** A channel that brings deliveries, until it closes. */',
        'const CURRENT = new Map<string, ChannelFrames>();',
      ),
    ],
  },
  {
    name: 'dead letters at most once',
    scenario: 'killed before a dead letter is out',
    edits: [
      edit(
        'consumer/settler.ts',
        'if (!(await forwarder.forward(copy, message.abandoned))) return false;',
        'void forwarder.forward(copy, message.abandoned);',
      ),
    ],
  },
  {
    name: 'a key goes on while its lost deliveries are counted',
    scenario: 'connections are cut',
    edits: [
      edit(
        'consumer/pipeline.ts',
        'this.#parts.settler.lose(message, new DeliveryLostError(message.delivery.queue));\n      this.#inFlight.delete(message);',
        'this.#parts.settler.lose(message, new DeliveryLostError(message.delivery.queue));\n      this.#inFlight.delete(message);\n      if (resting.includes(message)) this.#lanes.leave(message);',
      ),
    ],
  },
  {
    name: 'a single active consumer goes before its messages are back',
    scenario: 'consumers roll over',
    edits: [edit('broker/subscription.ts', 'if (this.#options.isSingleActive) await this.#leave();', '')],
  },
  {
    name: 'deadlines by this machine’s clock',
    scenario: 'clocks differ',
    edits: [
      edit(
        'assembly/assembly.ts',
        'return this.#givenClock ?? (this.hasDatabase ? this.#databaseClock() : systemClock);',
        'return this.#givenClock ?? systemClock;',
      ),
    ],
  },
  {
    name: 'a process is killed, not its group',
    scenario: 'a task that starts others is cancelled',
    edits: [
      edit(
        'task/process-tree.ts',
        "else signalGroup(this.#leader, 'SIGKILL');",
        "else signal(this.#leader, 'SIGKILL');",
      ),
      edit(
        'task/process-tree.ts',
        "if (!signalGroup(this.#leader, 'SIGKILL') ||",
        "if (!signal(this.#leader, 'SIGKILL') ||",
      ),
    ],
  },
  {
    name: 'an end is written without comparing the attempt',
    scenario: 'a run ends twice',
    edits: [
      edit(
        'task/sql/finish.ts',
        'WHERE t.id = r.id AND t.attempt = r.attempt AND t.owner',
        'WHERE t.id = r.id AND t.owner',
      ),
    ],
  },
];

/** A rule of the code taken away, and the test that must turn red for it: `npm run mutants` does both. */
export interface Mutant {
  /** The rule, as the table of docs/guarantees.md names it. */
  readonly rule: string;
  /** Under `src/`. */
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly takes: string;
  readonly puts: string;
  /** Under `test/`. */
  readonly testFile: string;
  /** With those of the blocks around it, as vitest joins them. */
  readonly title: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    rule: 'a COMMIT whose answer was lost is looked up',
    file: 'database/transactions.ts',
    takes: 'await this.#assertCommitted(xid, life, error);',
    puts: '',
    testFile: 'integration/commit-lost.test.ts',
    title: "a COMMIT whose answer is lost is resolved for transactions that the user's own library opens",
  },
  {
    rule: 'of a crashed server the answer does not count',
    file: 'database/commit-fate.ts',
    takes: 'return life !== undefined && life === this.#incarnation;',
    puts: 'return life !== this.#options.schema;',
    testFile: 'integration/commit-lost.test.ts',
    title:
      'a COMMIT whose answer is lost stays unknown, and says how to ask, when the server has crashed since: it may have given the id again',
  },
  {
    rule: 'the enqueue locks the keys before it draws ids',
    file: 'outbox/sql/enqueue.ts',
    takes: 'FROM (SELECT count(*) FROM k) AS locked,\n  unnest(',
    puts: 'FROM unnest(',
    testFile: 'integration/commit-order.test.ts',
    title:
      'of two writers of several events of a key the second waits for the commit of the first, and ids are in the order of commits',
  },
  {
    rule: 'the enqueue of one event locks its key before it draws the id',
    file: 'outbox/sql/enqueue.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a source file
    takes: 'FROM pg_advisory_xact_lock(${KEY_LOCK_NAMESPACE}, hashtext($1::text)) AS locked\n',
    puts: '',
    testFile: 'integration/commit-order.test.ts',
    title: 'of two writers of a key the second waits for the commit of the first, and ids are in the order of commits',
  },
  {
    rule: 'the enqueue of one event that names its transaction locks the key before it draws the id',
    file: 'outbox/sql/enqueue.ts',
    takes: 'FROM (SELECT count(*) FROM k) AS locked\nWHERE',
    puts: 'WHERE',
    testFile: 'integration/commit-order.test.ts',
    title:
      'of two writers of a key that hide their connections the second waits for the commit of the first, and ids are in the order of commits',
  },
  {
    rule: 'what was held up is asked about again before it goes',
    file: 'broker/publish-flow.ts',
    takes: 'entry.mayGo?.() === false',
    puts: 'false',
    testFile: 'integration/broker-publish-faults.test.ts',
    title: 'what was held up until its sender may not send it any more is not sent',
  },
  {
    rule: 'events are written before COMMIT',
    file: 'database/transaction-scope.ts',
    takes: 'this.#isStill((await sink.flush(executor, items)) ?? this.xid);',
    puts: 'setImmediate(() => void sink.flush(executor, items).catch(() => undefined));',
    testFile: 'integration/commit-order.test.ts',
    title: 'what was written is not committed when its events cannot be',
  },
  {
    rule: 'a root handle is refused',
    file: 'database/adapters/kysely.ts',
    takes: 'if (trx.isTransaction !== true) {',
    puts: 'if (false) {',
    testFile: 'integration/other-libraries-transactions.test.ts',
    title: 'a transaction of kysely is not mistaken: its roots would make ghost events',
  },
  {
    rule: 'a write of a handle that ended writes nothing: it carries the mark of its transaction',
    file: 'database/executor.ts',
    takes: '::text IS NULL OR ',
    puts: '::text IS NULL OR true OR ',
    testFile: 'integration/hidden-connections.test.ts',
    title: 'a transaction of prisma whose connection is hidden whose end overtakes the publish writes nothing',
  },
  {
    rule: 'the relay reads the table from its start, not from a high-water mark',
    file: 'outbox/relay-reader.ts',
    takes: 'after: 0,',
    puts: 'after: Math.max(0, ...lanes.ids()),',
    testFile: 'integration/relay-order.test.ts',
    title:
      'the order of a relay sends a row that was committed late before the later ones of its key, whose ids were read already',
  },
  {
    rule: 'a row that backs off holds back the later ones of its key (`NOT EXISTS`)',
    file: 'outbox/sql/read-batch.ts',
    takes: 'AND p.id < o.id',
    puts: 'AND false AND p.id < o.id',
    testFile: 'integration/relay-order.test.ts',
    title: 'the order of a relay lets a failing row hold its own key only, also after a takeover',
  },
  {
    rule: 'at most one unconfirmed message of a key',
    file: 'outbox/relay-lanes.ts',
    takes: "insertById(lane, this.#hold(row, 'waiting'));",
    puts: "this.#makeReady(this.#hold(row, 'ready'));",
    testFile: 'integration/relay-confirm.test.ts',
    title: 'a relay on RabbitMQ lets no message overtake an earlier one of its key that the broker has not taken',
  },
  {
    rule: 'the relay waits for the confirm before it deletes',
    file: 'outbox/relay-sender.ts',
    takes: 'pipe.offer(\n      message,\n      (outcome) => this.#settle(row, outcome),',
    puts: "this.#settle(row, { kind: 'confirmed' });\n    pipe.offer(\n      message,\n      () => undefined,",
    testFile: 'integration/relay-confirm.test.ts',
    title:
      'a relay on RabbitMQ keeps a row whose message was lost on its way, and sends it when the broker can be reached',
  },
  {
    rule: 'before each publish the relay looks at its lease',
    file: 'outbox/relay-sender.ts',
    takes: 'if (!row.grant.isLive(nowMs)) {',
    puts: 'if (false) {',
    testFile: 'integration/relay-confirm.test.ts',
    title: 'a relay sends nothing under a lease that ran out since the row was read',
  },
  {
    rule: "the delete is fenced by the lease's epoch",
    file: 'outbox/sql/delete-confirmed.ts',
    takes: 'WHERE l.part = g.part AND l.epoch = g.epoch AND',
    puts: 'WHERE l.part = g.part AND',
    testFile: 'integration/relay-lease.test.ts',
    title: 'relays together delete nothing under an epoch that has passed',
  },
  {
    rule: 'what is deleted has the message that was confirmed',
    file: 'outbox/sql/delete-confirmed.ts',
    takes: 'AND (o.message_id IN (SELECT unnest($5::uuid[]))) IS TRUE',
    puts: 'AND ($5::uuid[] IS NOT NULL)',
    testFile: 'integration/relay-confirm.test.ts',
    title:
      'a row that has the id of one that was sent is sent as well, and not taken for it when that is confirmed: a promoted standby gives ids again',
  },
  {
    rule: 'what a relay has read on another server is void',
    file: 'database/server-links.ts',
    takes: 'if (hasMoved) this.#options.onMoved?.();',
    puts: 'void hasMoved;',
    testFile: 'integration/relay-other-server.test.ts',
    title:
      'rows that were read and not sent are read again when the relay comes to another server: what that one does not have is not sent, and the others are in their order',
  },
  {
    rule: 'a relay parks only behind the fence',
    file: 'outbox/wakeup.ts',
    takes: 'const passed = await hasPassed(this.#options.db, this.#fence);',
    puts: 'const passed = true;',
    testFile: 'integration/relay-wakeup.test.ts',
    title: 'the wake-up of a parked relay comes for a commit that looked at the flag before it was set and ended after',
  },
  {
    rule: '`mandatory` on every publish',
    file: 'broker/message-check.ts',
    takes: 'isMandatory: !isDirectReply(exchange, routingKey),',
    puts: 'isMandatory: false,',
    testFile: 'integration/broker-publish.test.ts',
    title: 'an unroutable message is told to its caller alone, among 1,000 neighbours',
  },
  {
    rule: 'a publish is confirmed by the broker, not by being sent',
    file: 'broker/publish-channel.ts',
    takes: 'this.#window.push(entry);',
    puts: 'queueMicrotask(() => this.#events.onOutcome(entry, CONFIRMED));',
    testFile: 'integration/broker-publish-faults.test.ts',
    title: 'a connection cut with 500 in flight settles each offer once; those not confirmed are unknown',
  },
  {
    rule: 'in flight is bounded',
    file: 'broker/publish-flow.ts',
    takes: 'this.#options.maxInFlight - this.ledger.count : 0',
    puts: 'Number.MAX_SAFE_INTEGER : 0',
    testFile: 'integration/broker-publish.test.ts',
    title: '5,000 offers arrive in the order offered, never more than the limit in flight',
  },
  {
    rule: 'a delivery is settled on the channel that brought it, or not at all',
    file: 'broker/delivery-channel.ts',
    takes: '  ack(tag: number): boolean {\n    if (!this.isOpen) return this.#stale();',
    puts: '  ack(tag: number): boolean {',
    testFile: 'integration/broker-subscribe.test.ts',
    title: 'after a cut the deliveries of before are lost: their settles send nothing, and they come again',
  },
  {
    rule: 'a multiple ack reaches up to the lowest unfinished delivery',
    file: 'broker/ack-coalescer.ts',
    takes: 'if (tag > lowestUnfinished) continue;',
    puts: '',
    testFile: 'integration/consumer-confirm.test.ts',
    title: 'a message whose handler has not returned stays in its queue, though those before and after it are acked',
  },
  {
    rule: 'the ack comes after the handler',
    file: 'consumer/pipeline.ts',
    takes: 'this.#running += 1;',
    puts: 'this.#running += 1;\n    message.delivery.ack();',
    testFile: 'integration/consumer-confirm.test.ts',
    title: 'a message whose handler has not returned stays in its queue, though those before and after it are acked',
  },
  {
    rule: 'the ack comes after the confirm of the copy for the next attempt',
    file: 'consumer/settler.ts',
    takes: 'isSafe = await forwarder.forward(copy, message.abandoned);',
    puts: 'void forwarder.forward(copy, message.abandoned);\n      isSafe = true;',
    testFile: 'integration/consumer-confirm.test.ts',
    title: 'a message whose copy for the next attempt was lost on its way stays in its queue',
  },
  {
    rule: 'the ack comes after the confirm of the copy for the dead letters',
    file: 'consumer/settler.ts',
    takes: 'if (!(await forwarder.forward(copy, message.abandoned))) return false;',
    puts: 'void forwarder.forward(copy, message.abandoned);',
    testFile: 'integration/consumer-confirm.test.ts',
    title: 'a message whose copy for the dead letters was lost on its way stays in its queue',
  },
  {
    rule: 'a message that keeps failing has `attempts` runs',
    file: 'consumer/retry.ts',
    takes: "if (run.failedRuns >= retry.attempts) return { kind: 'exhausted' };",
    puts: "if (run.failedRuns > retry.attempts) return { kind: 'exhausted' };",
    testFile: 'integration/consumer-retry.test.ts',
    title: 'a message that fails goes to the dead letters after `attempts` runs, with reason, handler and history',
  },
  {
    rule: 'a message that failed is not given back at once',
    file: 'consumer/pipeline.ts',
    takes: 'this.#settle(message, () => settler.retry(message, step.error, step.requestedMs));',
    puts: 'settler.release(message, step.error);\n        this.#lanes.rest();\n        this.#leave(message);',
    testFile: 'integration/consumer-retry.test.ts',
    title: 'on attempt 3 the handler sees the same exchange, key, headers and properties as on attempt 1',
  },
  {
    rule: 'a connection that brings nothing though messages wait is given up',
    file: 'broker/stall-watch.ts',
    takes: 'this.#giveUp(consumer, waiting, Math.round(waitedMs));',
    puts: '',
    testFile: 'integration/broker-stall.test.ts',
    title:
      'a connection that is alive and brings nothing is given up for the next node when messages wait and there is room for them, and they are brought there',
  },
  {
    rule: 'the start of a message that came back is marked before its handler runs',
    file: 'consumer/start-log.ts',
    takes: "await persist(() => marks.begin(key), { logger, signal, what: 'writing a start mark' }).finally(unlink);",
    puts: '',
    testFile: 'integration/consumer-crash.test.ts',
    title: 'messages that came back are marked before they run, where every process sees it',
  },
  {
    rule: 'a message that came back runs with nothing beside it',
    file: 'consumer/isolation.ts',
    takes: 'else await this.#host.hold();',
    puts: '',
    testFile: 'integration/consumer-crash.test.ts',
    title:
      'messages that came back run one at a time with nothing beside them, those with the fewest deaths first, and leave no mark',
  },
  {
    rule: 'a single active consumer that stops gives back and leaves in one step',
    file: 'broker/subscription.ts',
    takes: 'if (this.#options.isSingleActive) await this.#leave();',
    puts: '',
    testFile: 'integration/broker-subscribe.test.ts',
    title: 'a single active consumer of a quorum queue that stops gives back before the next begins',
  },
  {
    rule: 'messages of a key run one at a time',
    file: 'consumer/lanes.ts',
    takes: 'if (tail) {',
    puts: 'if (false) {',
    testFile: 'integration/consumer-keys.test.ts',
    title: 'messages of a key are handled one at a time and in order at concurrency 20, failures retried in place',
  },
  {
    rule: 'the messages of a parked key are not handled',
    file: 'database/sql/claim-inbox.ts',
    takes: 'FROM parked WHERE NOT is_parked',
    puts: 'FROM parked',
    testFile: 'integration/inbox.test.ts',
    title: "a parked key's messages are not handled, except those put back to work; others go on",
  },
  {
    rule: 'only who inserts the inbox row has the effect',
    file: 'database/sql/claim-inbox.ts',
    takes: 'SELECT EXISTS (SELECT FROM claimed) AS claimed',
    puts: 'SELECT true AS claimed',
    testFile: 'integration/inbox.test.ts',
    title: 'the same message fifty times at once has one effect',
  },
  {
    rule: 'who finds an inbox row there has not claimed it',
    file: 'database/sql/claim-inbox.ts',
    takes: "VALUES ($1::text, $2::text, $3::text, 'done')\n  ON CONFLICT DO NOTHING",
    puts: "VALUES ($1::text, $2::text, $3::text, 'done')\n  ON CONFLICT (queue, source, message_id) DO UPDATE SET at = now()",
    testFile: 'integration/inbox.test.ts',
    title: 'the same message fifty times at once has one effect',
  },
  {
    rule: 'a new message of a parked key is not claimed',
    file: 'database/sql/claim-inbox.ts',
    takes: 'AND order_key = $5::text)',
    puts: 'AND order_key = $5::text AND false)',
    testFile: 'integration/inbox.test.ts',
    title: "a parked key's messages are not handled, except those put back to work; others go on",
  },
  {
    rule: "the inbox row is in the handler's transaction",
    file: 'database/inbox-store.ts',
    takes: `    return this.#inOwn(request.handler, async (executor, handle): Promise<InboxResult<T>> => {
      const found = await this.#claim(executor, request);
      return found === 'claimed' ? { kind: 'handled', value: await work(handle) } : { kind: found };
    });`,
    puts: `    return this.#inOwn(request.handler, (executor) => this.#claim(executor, request)).then((found) =>
      found !== 'claimed'
        ? { kind: found }
        : this.#inOwn(request.handler, async (_, handle) => ({ kind: 'handled' as const, value: await work(handle) })),
    );`,
    testFile: 'integration/inbox.test.ts',
    title: 'what the handler wrote, the inbox row and its events go together when it throws',
  },
  {
    rule: 'a statement that outlives its handler is ended',
    file: 'database/sql/statement-limit.ts',
    takes: '(ms === undefined ? null : String(Math.ceil(ms)))',
    puts: '(ms === undefined ? null : null)',
    testFile: 'integration/consumer-inbox.test.ts',
    title: 'a statement that outlives its handler is ended: connection and room are free for the next message',
  },
  {
    rule: 'a message that fails takes back those that share its transaction',
    file: 'database/transaction-scope.ts',
    takes: `    } catch (error) {
      this.#damage ??= { error };
      throw error;
    } finally {
      child.end();`,
    puts: `    } finally {
      child.end();`,
    testFile: 'integration/commit-order.test.ts',
    title: 'parts of a transaction of which one failed are not committed, though its error was swallowed',
  },
  {
    rule: 'one of those that share a transaction cannot commit it',
    file: 'database/commit-guard.ts',
    takes: 'await executor.query(FORBID, []);',
    puts: "await executor.query('DECLARE svc_comm_forbid_commit CURSOR WITH HOLD FOR SELECT 1', []);",
    testFile: 'integration/inbox-groups.test.ts',
    title: 'one that commits what several share is told so, and the others are handled once',
  },
  {
    rule: 'those that shared the transaction of one that failed run again',
    file: 'database/inbox-groups.ts',
    takes: 'return { together: members.filter((member) => member !== failure.member), alone: NONE };',
    puts: `for (const { result } of members) result.resolve({ kind: 'handled', value: undefined });
  return { together: NONE, alone: NONE };`,
    testFile: 'integration/inbox-groups.test.ts',
    title: 'one that throws is told so, without any effect; the others have theirs once, with their events',
  },
  {
    rule: 'of those that share a transaction only who inserts its inbox row has the effect',
    file: 'database/sql/claim-inbox-rows.ts',
    takes: 'ON CONFLICT DO NOTHING RETURNING source, message_id',
    puts: 'ON CONFLICT (queue, source, message_id) DO UPDATE SET at = now() RETURNING source, message_id',
    testFile: 'integration/inbox-groups.test.ts',
    title: 'copies have one effect, those that were given up have none, and a parked key is told, all in one group',
  },
  {
    rule: 'one that is lost before its turn in a shared transaction is not run',
    file: 'database/inbox-groups.ts',
    takes: 'if (!isOurs(member)) throw member.request.signal?.reason;',
    puts: '',
    testFile: 'integration/inbox-groups.test.ts',
    title: 'one that is not ours any more when its turn comes is not run, and the others are',
  },
  {
    rule: 'what is past its deadline is not executed',
    file: 'wire/deadline.ts',
    takes: 'deadline !== undefined && now >= deadline.getTime() + skewToleranceMs;',
    puts: 'deadline !== undefined && Number.isNaN(now + skewToleranceMs);',
    testFile: 'integration/commands.test.ts',
    title:
      'a command with a TTL of 1 s to a stopped consumer is not executed when it starts 2 s later, and is counted; one with time left behind it is',
  },
  {
    rule: 'a waiting call leaves once: a second answer settles nothing',
    file: 'call/pending-calls.ts',
    takes: 'this.#waiting.delete(callId);',
    puts: '',
    testFile: 'integration/calls.test.ts',
    title: 'late and foreign answers are counted and dropped, and a second answer settles nothing',
  },
  {
    rule: 'the end of a run is for its own attempt',
    file: 'task/sql/finish.ts',
    takes: ' AND t.attempt = r.attempt',
    puts: '',
    testFile: 'integration/task-lease.test.ts',
    title: 'the row takes no end of an attempt that is over, and none of a task that has ended',
  },
  {
    rule: 'a server is asked by its own name, or not at all',
    file: 'util/hosts.ts',
    takes: "return isIP(name) !== 0 && name === localAddress?.replace(/^::ffff:/, '');",
    puts: 'return true;',
    testFile: 'unit/http-openapi.test.ts',
    title: 'has no route that a request without the token, or with a foreign Host, gets past, but the health check',
  },
  {
    rule: 'who has no token gets nothing',
    file: 'http/guard/guard.ts',
    takes: 'if (!authenticate) return done();',
    puts: 'if (!authenticate || request.headers.authorization === undefined) return done();',
    testFile: 'unit/http-openapi.test.ts',
    title: 'has no route that a request without the token, or with a foreign Host, gets past, but the health check',
  },
  {
    rule: 'over HTTP an owner sees their own tasks only',
    file: 'http/task-access.ts',
    takes: 'return submitter === undefined || record?.submitter === submitter ? record : undefined;',
    puts: 'return record;',
    testFile: 'integration/http-functions.test.ts',
    title: 'an owner sees, lists and ends their own tasks only',
  },
];

/** Its line in the table of docs/guarantees.md. */
export const mutantRow = ({ rule, file, testFile, title }: Mutant): string =>
  `| ${rule} | \`src/${file}\` | \`${testFile}\` › ${title} |`;

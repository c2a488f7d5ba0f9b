import { v7 } from 'uuid';
import { DiscoveryUnavailableError } from '../errors.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import type { Notice, NoticeBoard, OpenNoticeBoard } from '../message/notices.ts';
import { Bell } from '../util/bell.ts';
import { PROTOCOL } from './announcement.ts';
import { DISCOVERY_TIMES } from './options.ts';
import { readAnnouncement, readBeat, readFields, readInstance } from './read-notice.ts';
import { type PresentInstance, Roster } from './roster.ts';
import { TOPIC } from './topics.ts';

export interface DirectoryOptions {
  readonly openBoard: OpenNoticeBoard;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/**
 * Knows who is there, from its start on: it asks all, and then hears their heartbeats.
 * @throws DiscoveryUnavailableError (SVC_COMM_DISCOVERY_UNAVAILABLE) from `start` when the broker does not permit it
 */
export class Directory implements Service {
  readonly name = 'directory of services';
  readonly #asker = v7();
  readonly #board: NoticeBoard;
  readonly #roster: Roster;
  readonly #lifecycle: Lifecycle;
  readonly #newcomer = new Bell();
  #refusal: string | undefined;
  #sounding: NodeJS.Timeout | undefined;

  constructor({ openBoard, clock }: DirectoryOptions) {
    this.#roster = new Roster(clock);
    this.#board = openBoard({
      topics: [TOPIC.announcement, TOPIC.answerTo(this.#asker), TOPIC.beat, TOPIC.leave],
      onNotice: (notice) => this.#read(notice),
      greeting: () => {
        this.#roster.hearing();
        return [this.#question(TOPIC.ask)];
      },
      onDeaf: () => this.#roster.deaf(),
      onRefused: (reason) => {
        this.#refusal = reason;
      },
    });
    this.#lifecycle = new Lifecycle(this.name, {
      start: (signal) => this.#start(signal),
      stop: async () => {
        clearInterval(this.#sounding);
        await this.#board.stop();
      },
    });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  /** False while the broker is lost: who has come and gone since then is not known. */
  get isHearing(): boolean {
    return this.#board.isHearing;
  }

  get present(): readonly PresentInstance[] {
    return this.#roster.present;
  }

  /** Resolves when those who are there have had time to answer. */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async #start(signal: AbortSignal): Promise<void> {
    this.#refusal = undefined;
    await this.#board.start();
    if (this.#refusal !== undefined) throw new DiscoveryUnavailableError(this.#refusal);
    // A broker tells nobody how many have heard a question: what ends the wait is that nobody new answers.
    const { quietMs, answersMs, soundingMs } = DISCOVERY_TIMES;
    this.#sounding = setInterval(() => this.#board.post({ topic: TOPIC.sounding, body: Buffer.of() }), soundingMs);
    this.#sounding.unref();
    const end = AbortSignal.any([signal, AbortSignal.timeout(answersMs)]);
    while (!end.aborted && (await this.#newcomer.wait(end, quietMs)));
  }

  /** In amqplib's stack: it must not throw. */
  #read({ topic, body }: Notice): void {
    try {
      this.#take(topic, body);
    } catch {
      // Not from one of us: it is no JSON, or too long, or too deep.
    }
  }

  #take(topic: string, body: Uint8Array): void {
    const fields = readFields(body);
    if (topic === TOPIC.leave) {
      const instance = readInstance(fields);
      if (instance !== undefined) this.#roster.left(instance);
    } else if (topic === TOPIC.beat) {
      const beat = readBeat(fields);
      if (beat && this.#roster.beat(beat)) this.#board.post(this.#question(TOPIC.askOf(beat.instance)));
    } else if (topic === TOPIC.announcement || topic === TOPIC.answerTo(this.#asker)) {
      const announcement = readAnnouncement(fields);
      if (!announcement) return;
      this.#roster.announced(announcement, body.byteLength);
      this.#newcomer.ring();
    }
  }

  #question(topic: string): Notice {
    return { topic, body: Buffer.from(JSON.stringify({ protocol: PROTOCOL, from: this.#asker })) };
  }
}

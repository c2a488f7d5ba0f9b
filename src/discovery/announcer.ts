import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import type { Notice, NoticeBoard, OpenNoticeBoard } from '../message/notices.ts';
import {
  type Beat,
  type EncodedDescription,
  encodeAnnouncement,
  encodeBeat,
  encodeDescription,
  PROTOCOL,
} from './announcement.ts';
import type { Presence, Speaker } from './presence.ts';
import { readFields } from './read-notice.ts';
import { INSTANCE_ID, TOPIC } from './topics.ts';

export interface AnnouncerOptions {
  readonly presence: Presence;
  readonly openBoard: OpenNoticeBoard;
  /** How often it beats, in ms. */
  readonly everyMs: number;
  readonly logger: Logger;
}

/** In the time of one heartbeat. More who ask wait for the next: an answer is long, and whoever asks may ask for it in vain. */
const MOST_ANSWERS = 100;

/**
 * Tells others of a presence: all of it when it comes, when it changes and when somebody asks, and between that by a
 * heartbeat that says little. It does no harm to what it tells of: `start` waits for nothing, and what fails is logged.
 */
export class Announcer implements Service, Speaker {
  readonly name = 'announcement';
  readonly #options: AnnouncerOptions;
  readonly #board: NoticeBoard;
  readonly #lifecycle: Lifecycle;
  #beating: NodeJS.Timeout | undefined;
  #unjoin = () => {};
  #described: (EncodedDescription & { readonly stamp: string }) | undefined;
  #answers = 0;
  #isChangeDue = false;

  constructor(options: AnnouncerOptions) {
    const { presence, openBoard } = options;
    this.#options = options;
    this.#board = openBoard({
      topics: [TOPIC.ask, TOPIC.askOf(presence.instance)],
      onNotice: (notice) => this.#answer(notice),
      greeting: () => this.#announcement(TOPIC.announcement),
      onDeaf: () => undefined,
      onRefused: (reason) => {
        const { logger } = this.#options;
        logger.warn({ reason }, 'other services do not hear of this one: the broker does not permit it');
      },
    });
    this.#lifecycle = new Lifecycle(this.name, { start: () => this.#start(), stop: () => this.#stop() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  /** Resolves at once; it is heard as soon as the broker is there. */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /** What changes in one turn is told in one. */
  onChange(): void {
    if (this.#isChangeDue) return;
    this.#isChangeDue = true;
    queueMicrotask(() => {
      this.#isChangeDue = false;
      if (this.#beating) this.#post(this.#announcement(TOPIC.announcement));
    });
  }

  /** For the last role, which goes: others need not wait for heartbeats that do not come. */
  sayGoodbye(): void {
    const { presence } = this.#options;
    if (!this.#beating || !presence.isEmpty || !presence.isSpeaker(this)) return;
    const body = Buffer.from(JSON.stringify({ protocol: PROTOCOL, instance: presence.instance }));
    this.#post([{ topic: TOPIC.leave, body }]);
  }

  async #start(): Promise<void> {
    const { presence, everyMs, logger } = this.#options;
    this.#unjoin = presence.join(this);
    this.#beating = setInterval(() => this.#beat(), everyMs);
    this.#beating.unref();
    this.#board.start().catch((error: unknown) => {
      if (this.#beating) logger.warn({ error }, 'other services do not hear of this one');
    });
  }

  async #stop(): Promise<void> {
    clearInterval(this.#beating);
    this.#beating = undefined;
    this.#unjoin();
    await this.#board.stop();
  }

  #beat(): void {
    this.#answers = 0;
    const { presence } = this.#options;
    if (presence.isEmpty || !presence.isSpeaker(this)) return;
    const before = this.#described?.digest;
    const { digest } = this.#describe();
    // A message that was sent for the first time, a consumer that was registered late: nothing signals them.
    if (digest !== before) this.#post(this.#announcement(TOPIC.announcement));
    else this.#post([{ topic: TOPIC.beat, body: encodeBeat(this.#beatOf(digest)) }]);
  }

  /** To one who asks all, or this one. */
  #answer({ body }: Notice): void {
    if (this.#answers >= MOST_ANSWERS) return;
    this.#answers += 1;
    try {
      const { from } = readFields(body);
      if (typeof from === 'string' && INSTANCE_ID.test(from)) this.#post(this.#announcement(TOPIC.answerTo(from)));
    } catch {
      // Not from one of us. Whoever may use the broker can say anything here.
    }
  }

  /** Nothing when there is nothing to tell, or another speaks for it. */
  #announcement(topic: string): readonly Notice[] {
    const { presence } = this.#options;
    if (presence.isEmpty || !presence.isSpeaker(this)) return [];
    const described = this.#describe();
    return [{ topic, body: encodeAnnouncement(this.#beatOf(described.digest), described) }];
  }

  /** Made again only when there may be something else to tell: schemas take their time. */
  #describe(): EncodedDescription {
    const { presence, logger } = this.#options;
    const { stamp } = presence;
    if (this.#described?.stamp === stamp) return this.#described;
    let encoded: EncodedDescription;
    try {
      encoded = encodeDescription(presence.describe());
    } catch (error) {
      // Of a schema that throws, or holds what is no JSON. It is still here.
      logger.warn({ error }, 'other services hear of this one only that it is there: what it offers cannot be told');
      encoded = encodeDescription(presence.withoutOffer());
    }
    this.#described = { ...encoded, stamp };
    return this.#described;
  }

  #beatOf(digest: string): Beat {
    const { presence, everyMs } = this.#options;
    const { instance, name, failing } = presence;
    return { protocol: PROTOCOL, instance, name, digest, everyMs, failing };
  }

  #post(notices: readonly Notice[]): void {
    for (const notice of notices) this.#board.post(notice);
  }
}

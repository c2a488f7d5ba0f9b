import type { Service } from '../lifecycle/service.ts';

/** A short word to whoever listens, at most once: what nobody hears is lost. */
export interface Notice {
  /** Words between dots, as a topic exchange routes them. */
  readonly topic: string;
  readonly body: Uint8Array;
}

export interface NoticeOptions {
  /** What is heard. No wildcards are needed, and a listener must not rely on hearing nothing else. */
  readonly topics: readonly string[];
  /** Must not throw. */
  readonly onNotice: (notice: Notice) => void;
  /** Said each time that it begins to hear: at the start, and again after every loss. */
  readonly greeting: () => readonly Notice[];
  /** Nothing is heard any more, of us or of anybody, until the next greeting. */
  readonly onDeaf: () => void;
  /** It may not be used at all: nothing is heard or said from now on. */
  readonly onRefused: (reason: string) => void;
}

/** Where notices are put up and read. `start` resolves when it hears, or may not be used. */
export interface NoticeBoard extends Service {
  readonly isHearing: boolean;
  /** @returns false when nothing can be said at the moment: it is lost then */
  post(notice: Notice): boolean;
}

export type OpenNoticeBoard = (options: NoticeOptions) => NoticeBoard;

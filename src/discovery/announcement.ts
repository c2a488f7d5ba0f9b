import { createHash } from 'node:crypto';
import type { ServiceDescription, ServiceRole } from './description.ts';

/**
 * Of what is said here. Readers take what they know of any version and skip the rest: a field is never given another
 * meaning, it gets another name.
 */
export const PROTOCOL = 1;

/** What each heartbeat says: little, whatever a service has to tell. */
export interface Beat {
  readonly protocol: number;
  readonly instance: string;
  /** The service's name: its appId. */
  readonly name: string;
  /** Of the description; another one: ask for it. */
  readonly digest: string;
  /** How often it beats. */
  readonly everyMs: number;
  /** Roles that do not work at the moment, such as a consumer to which the broker brings nothing. */
  readonly failing: readonly ServiceRole[];
}

export interface Announcement extends Beat {
  readonly description: ServiceDescription;
}

/** An announcement that is longer leaves out what is longest in it; one that comes in longer is not read. */
export const MAX_ANNOUNCEMENT_BYTES = 256 * 1024;
/** What goes around the description. */
const ENVELOPE_BYTES = 1024;

/** A description as it travels. */
export interface EncodedDescription {
  readonly json: string;
  readonly digest: string;
}

/** As JSON that fits: first schemas go, then descriptions, then what is beyond so many of each list. */
export function encodeDescription(description: ServiceDescription): EncodedDescription {
  const limit = MAX_ANNOUNCEMENT_BYTES - ENVELOPE_BYTES;
  let json = JSON.stringify(description);
  for (const shorten of SHORTENINGS) {
    if (Buffer.byteLength(json) <= limit) break;
    json = JSON.stringify(shorten(description));
  }
  return { json, digest: createHash('sha256').update(json).digest('hex').slice(0, 32) };
}

type Shorten = (description: ServiceDescription) => ServiceDescription;

const withoutSchemas: Shorten = (description) => ({
  ...description,
  consumes: description.consumes.map((one) => ({ ...one, schema: undefined, output: undefined })),
  publishes: description.publishes.map((one) => ({ ...one, schema: undefined, output: undefined })),
  tasks: description.tasks.map((one) => ({ ...one, input: undefined })),
  processes: description.processes.map((one) => ({ ...one, input: {} })),
  omitted: ['schemas'],
});

const withoutTexts: Shorten = (whole) => {
  const description = withoutSchemas(whole);
  return {
    ...description,
    consumes: description.consumes.map((one) => ({ ...one, description: '' })),
    publishes: description.publishes.map((one) => ({ ...one, description: '' })),
    tasks: description.tasks.map((one) => ({ ...one, description: '' })),
    processes: description.processes.map((one) => ({ ...one, description: '', tags: [] })),
    omitted: ['schemas', 'descriptions'],
  };
};

/** @param most entries of each list: names have at most 255 bytes */
const cutTo =
  (most: number): Shorten =>
  (whole) => {
    const description = withoutTexts(whole);
    return {
      ...description,
      binds: description.binds.slice(0, most),
      consumes: description.consumes.slice(0, most),
      publishes: description.publishes.slice(0, most),
      tasks: description.tasks.slice(0, most),
      processes: description.processes.slice(0, most),
      omitted: ['schemas', 'descriptions', `what is beyond ${most} of each kind`],
    };
  };

const SHORTENINGS: readonly Shorten[] = [withoutSchemas, withoutTexts, cutTo(300), cutTo(40)];

export const encodeBeat = (beat: Beat): Buffer => Buffer.from(JSON.stringify(beat));

/** The description's text is made once and goes out as it is. */
export const encodeAnnouncement = (beat: Beat, { json }: EncodedDescription): Buffer =>
  Buffer.from(`${JSON.stringify(beat).slice(0, -1)},"description":${json}}`);

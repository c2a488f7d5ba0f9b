import { ByteReader } from './byte-reader.ts';
import { CONTENT_CLASS, CONTENT_HEAD_BYTES, describeFrame, FRAME } from './frame.ts';
import type { MethodArguments } from './method-table.ts';
import { NO_METHOD, ProtocolError } from './protocol-error.ts';

/** A `basic.publish` with its content. */
export interface Publication {
  readonly args: MethodArguments<'basic.publish'>;
  readonly encodedProperties: Buffer;
  readonly body: Buffer;
}

type State =
  | { readonly kind: 'method' }
  | { readonly kind: 'header'; readonly args: MethodArguments<'basic.publish'> }
  | {
      readonly kind: 'body';
      readonly args: MethodArguments<'basic.publish'>;
      readonly encodedProperties: Buffer;
      readonly size: number;
      readonly parts: Buffer[];
      missing: number;
    };

const METHOD: State = Object.freeze({ kind: 'method' });

/**
 * Puts a publish together from its frames.
 *
 *   method ──publish──▶ header ──size > 0──▶ body ──all there──▶ method
 *                         └──────size 0──────────────────────────▶
 */
export class ContentAssembler {
  #state: State = METHOD;

  /** @throws ProtocolError 505 when content should come instead of a method */
  expectMethod(): void {
    if (this.#state.kind !== 'method') throw unexpected(this.#state);
  }

  /** Whether content is due. */
  get isWaiting(): boolean {
    return this.#state.kind !== 'method';
  }

  begin(args: MethodArguments<'basic.publish'>): void {
    this.#state = { kind: 'header', args };
  }

  /** @returns the publish when it has no body */
  header(payload: Buffer): Publication | undefined {
    const state = this.#state;
    if (state.kind !== 'header') throw unexpected(state);
    if (payload.length < CONTENT_HEAD_BYTES + 2) {
      const text = `${describeFrame(FRAME.header, payload)}: unknown_frame`;
      throw new ProtocolError('FRAME_ERROR', text, { at: NO_METHOD });
    }
    const reader = new ByteReader(payload);
    const classId = reader.uint16();
    if (classId !== CONTENT_CLASS) {
      throw new ProtocolError(
        'UNEXPECTED_FRAME',
        `expected content header for class ${CONTENT_CLASS}, got one for class ${classId} instead`,
      );
    }
    if (reader.uint16() !== 0) throw unexpected(state);
    const size = reader.uint64();
    const encodedProperties = Buffer.from(reader.bytes(reader.remaining));
    if (size === 0) {
      this.#state = METHOD;
      return { args: state.args, encodedProperties, body: Buffer.alloc(0) };
    }
    this.#state = { kind: 'body', args: state.args, encodedProperties, size, parts: [], missing: size };
    return undefined;
  }

  /** @returns the publish when this was the last of it */
  body(payload: Buffer): Publication | undefined {
    const state = this.#state;
    if (state.kind !== 'body') throw unexpected(state);
    if (payload.length > state.missing) throw unexpected(state);
    state.missing -= payload.length;
    state.parts.push(Buffer.from(payload));
    if (state.missing > 0) return undefined;
    this.#state = METHOD;
    const [only] = state.parts;
    const body = state.parts.length === 1 && only ? only : Buffer.concat(state.parts, state.size);
    return { args: state.args, encodedProperties: state.encodedProperties, body };
  }
}

const EXPECTED: Readonly<Record<State['kind'], string>> = Object.freeze({
  method: 'expected method frame, got non method frame instead',
  header: `expected content header for class ${CONTENT_CLASS}, got non content header frame instead`,
  body: 'expected content body, got non content body frame instead',
});

const unexpected = (state: State): ProtocolError => new ProtocolError('UNEXPECTED_FRAME', EXPECTED[state.kind]);

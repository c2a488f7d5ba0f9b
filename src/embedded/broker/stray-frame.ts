import { describeFrame, FRAME } from './frame.ts';
import { ProtocolError } from './protocol-error.ts';

/** A frame that cannot stand where it does: of a known type 505, else 501. */
export function strayFrame(type: number, payload: Buffer): ProtocolError {
  const text = describeFrame(type, payload);
  const isHeartbeat = type === FRAME.heartbeat && payload.length === 0;
  const isKnown = isHeartbeat || (type >= FRAME.method && type <= FRAME.body);
  return isKnown
    ? new ProtocolError('UNEXPECTED_FRAME', text)
    : new ProtocolError('FRAME_ERROR', `${text}: unknown_frame`);
}

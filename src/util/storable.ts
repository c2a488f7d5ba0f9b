import { createHash } from 'node:crypto';

/**
 * Text from outside as PostgreSQL can keep and index it: its `text` holds no NUL, and an index row nothing of unbounded
 * length. What cannot be kept as it is becomes its SHA-256, the same for the same text.
 * @param maxLength in UTF-16 units
 */
export function storable(text: string, maxLength: number): string {
  if (text.length <= maxLength && !text.includes('\0')) return text;
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

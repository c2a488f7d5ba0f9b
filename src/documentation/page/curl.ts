import type { Html } from '../html.ts';
import { code } from './parts.ts';

/** A request as a line for a shell. */
export const curl = (origin: string | undefined, url: string, body: unknown): Html =>
  code(
    'Request',
    `curl -X POST -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(body))} \\\n  ${quoted((origin ?? 'http://localhost:4000') + url)}`,
  );

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));
/** Sources of the service whose processes are harmed. */
export const source = fileURLToPath(new URL('./project/', import.meta.url));
/** What users run: the built package. */
export const bin = join(root, 'dist/bin/svc-comm.js');

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));
/** The service whose processes are harmed. */
export const project = fileURLToPath(new URL('./project/', import.meta.url));
/** What users run: the built package. */
export const bin = join(root, 'dist/bin/svc-comm.js');

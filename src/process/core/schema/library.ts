import { createRequire } from 'node:module';
import type * as library from '@cfworker/json-schema';

/** Definitions are looked at without waiting. */
const require = createRequire(import.meta.url);
/** Loaded when it is first needed: most processes have none. */
export const load = () => require('@cfworker/json-schema') as typeof library;

import type { Settings } from '../settings/define.ts';

/** For commands that end by themselves: who typed one, or a job that ran it, is told of a server that is down. */
export const PATIENCE: Settings = Object.freeze({ wait: '30s' });

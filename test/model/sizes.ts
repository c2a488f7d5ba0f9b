import type { Size } from './state.ts';

/** What each `npm test` goes through. */
export const QUICK: Size = Object.freeze({ keys: [0, 0], copies: 1, faults: 1 });
/** The least that shows what each rule is for. */
export const WITHOUT_A_RULE: Size = Object.freeze({ keys: [0, 0], copies: 1, faults: 2 });

import { describe, expect, test } from 'vitest';
import { explore } from '../model/explore.ts';
import { RULES, type Rules } from '../model/rules.ts';
import { QUICK, WITHOUT_A_RULE } from '../model/sizes.ts';

test('outbox, two relays, broker and two consumers keep P1, P2 and P3 in every state of two messages and one fault', () => {
  expect(explore(QUICK, RULES)).toMatchObject({ kind: 'holds', states: 7087 });
});

test('and in every state of one message that is sent twice, whatever goes wrong how often', () => {
  const size = { keys: [0], copies: 2, faults: Number.POSITIVE_INFINITY };
  expect(explore(size, RULES)).toMatchObject({ kind: 'holds', states: 23_530 });
});

describe('each rule taken away breaks a promise', () => {
  test.each<[keyof Rules, string]>([
    ['keyLock', 'P3'],
    ['confirm', 'P1'],
    ['unknownIsSentAgain', 'P1'],
    ['relayLane', 'P3'],
    ['readFromStart', 'P1'],
    ['backOffHoldsKey', 'P3'],
    ['inbox', 'P2'],
    ['inboxInTransaction', 'P1'],
    ['ackAfterEffect', 'P1'],
    ['consumerLane', 'P3'],
    ['singleActiveConsumer', 'P3'],
    ['loseAllAtOnce', 'P3'],
    ['leaveInOneStep', 'P3'],
  ])('without %s: %s', (rule, promise) => {
    const found = explore(WITHOUT_A_RULE, { ...RULES, [rule]: false });
    expect(found).toMatchObject({ kind: 'violated', promise: expect.stringContaining(promise) });
  });
});

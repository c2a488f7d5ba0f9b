import { describe, expect, test } from 'vitest';
import { isAccessRefused } from '../../src/broker/amqp-error.ts';
import { afterFailure, CONNECTION_STATES, move } from '../../src/broker/connection-state.ts';

describe('the connection state machine', () => {
  test('allows the moves of its picture and no others', () => {
    const allowed = CONNECTION_STATES.flatMap((from) =>
      CONNECTION_STATES.filter((to) => {
        try {
          return move(from, to) === to;
        } catch {
          return false;
        }
      }).map((to) => `${from} → ${to}`),
    );
    expect(allowed).toEqual([
      'idle → connecting',
      'connecting → open',
      'connecting → waiting',
      'connecting → closing',
      'open → waiting',
      'open → closing',
      'waiting → connecting',
      'waiting → closing',
      'closing → idle',
    ]);
  });

  test.each([
    { hasBeenOpen: false, isRefused: true, wait: true, next: 'closed' },
    { hasBeenOpen: false, isRefused: true, wait: false, next: 'closed' },
    { hasBeenOpen: false, isRefused: false, wait: true, next: 'again' },
    { hasBeenOpen: false, isRefused: false, wait: false, next: 'closed' },
    { hasBeenOpen: true, isRefused: true, wait: true, next: 'again' },
    { hasBeenOpen: true, isRefused: false, wait: false, next: 'again' },
  ])('after a failure with $hasBeenOpen, $isRefused, $wait it is $next', ({ next, ...facts }) => {
    expect(afterFailure(facts)).toBe(next);
  });

  test('knows a refusal by the texts of amqplib', () => {
    const refusals = [
      'Handshake terminated by server: 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - Login was refused"',
      'Expected ConnectionOpenOk; got <ConnectionClose channel:0>',
    ];
    for (const text of refusals) expect(isAccessRefused(new Error(text))).toBe(true);
    expect(isAccessRefused(new Error('connect ECONNREFUSED 127.0.0.1:1'))).toBe(false);
    expect(isAccessRefused(new Error('Socket closed abruptly during opening handshake'))).toBe(false);
  });
});

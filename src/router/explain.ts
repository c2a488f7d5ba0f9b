import {
  compareTopicPatterns,
  firstDifference,
  matchesTopic,
  parseTopicPattern,
  type TopicPattern,
} from '../util/topic-pattern.ts';
import { ROUTE_LEVELS, type Route } from './route.ts';
import type { Routes } from './routes.ts';

/** `taken`: it gets the message. `next`: it would, if those before it were gone. `differs`: it is for other messages. */
export type ConsideredVerdict = 'taken' | 'next' | 'differs';

export interface Considered {
  readonly route: Route;
  readonly verdict: ConsideredVerdict;
  readonly why: string;
}

/** Which route takes a message and why. */
export interface Explanation {
  readonly exchange: string;
  readonly routingKey: string;
  readonly taken: Route | undefined;
  /** The routes of this exchange and those of any, in the order in which they are asked; `taken` is among them. */
  readonly considered: readonly Considered[];
}

export function explainRoutes(routes: Routes, exchange: string, routingKey: string): Explanation {
  const taken = routes.resolve(exchange, routingKey);
  const asked = routes.list
    .filter((route) => route.exchange === undefined || route.exchange === exchange)
    .map((route) => ({ route, pattern: route.pattern === undefined ? undefined : parseTopicPattern(route.pattern) }))
    .sort((a, b) => levelOf(a.route) - levelOf(b.route) || bySpecificity(a.pattern, b.pattern));
  const winner = taken?.pattern === undefined ? undefined : parseTopicPattern(taken.pattern);
  const considered = asked.map(({ route, pattern }): Considered => {
    if (pattern && !matchesTopic(pattern, routingKey)) return { route, verdict: 'differs', why: whyDiffers(route) };
    if (route === taken) return { route, verdict: 'taken', why: WHY_TAKEN[route.level] };
    return { route, verdict: 'next', why: taken ? whyNext(taken, winner, route, pattern) : '' };
  });
  return { exchange, routingKey, taken, considered };
}

const WHY_TAKEN: Readonly<Record<Route['level'], string>> = {
  key: 'its routing key is this one: nothing is more specific',
  pattern: 'the most specific of the patterns that match',
  exchange: 'no key and no pattern matches, and it takes the whole exchange',
  any: 'nothing is registered for this message in this exchange, and it takes every exchange',
  default: 'no other consumer takes it',
};

const whyDiffers = (route: Route): string =>
  route.level === 'key' ? 'another routing key' : 'its pattern does not match';

function whyNext(
  taken: Route,
  winner: TopicPattern | undefined,
  route: Route,
  pattern: TopicPattern | undefined,
): string {
  if (taken.level !== route.level || !winner || !pattern) {
    return `${LEVEL_TEXT[taken.level]} comes before ${LEVEL_TEXT[route.level]}`;
  }
  const at = firstDifference(winner, pattern);
  if (at === undefined) return `as specific as "${winner.text}", which is first in alphabetical order`;
  return `"${winner.text}" is more specific: at word ${at + 1} ${wordText(winner.words[at])} comes before ${wordText(pattern.words[at])}`;
}

const LEVEL_TEXT: Readonly<Record<Route['level'], string>> = {
  key: 'an exact routing key',
  pattern: 'a pattern',
  exchange: 'the consumer of the whole exchange',
  any: 'the consumer of every exchange',
  default: 'the default consumer',
};

function wordText(word: string | undefined): string {
  if (word === undefined) return 'the end';
  return word === '*' || word === '#' ? `\`${word}\`` : 'a literal';
}

const levelOf = (route: Route): number => ROUTE_LEVELS.indexOf(route.level);

const bySpecificity = (a: TopicPattern | undefined, b: TopicPattern | undefined): number =>
  a && b ? compareTopicPatterns(a, b) : 0;

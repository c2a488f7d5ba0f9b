import type { Route } from './route.ts';
import type { MessageRouter } from './router.ts';

/** Of every copy of this package in the process: npm puts two into one tree when two packages ask for two versions. */
const ROUTERS = Symbol.for('svc-comm.message-routers');

type Routers = Map<string, Pick<MessageRouter, 'routes'>>;

const routers = (): Routers => {
  const shared = globalThis as { [ROUTERS]?: Routers };
  shared[ROUTERS] ??= new Map();
  return shared[ROUTERS];
};

/** @param url of the file that the router is in */
export function announceRouter(url: string, router: MessageRouter): void {
  routers().set(url, router);
}

/** What is registered on the router of another copy of this package, and which. */
export function routesOfOtherCopies(router: MessageRouter): readonly { readonly url: string; readonly route: Route }[] {
  const others = [...routers()].filter(([, other]) => other !== router);
  return others.flatMap(([url, { routes }]) => routes.map((route) => ({ url, route })));
}

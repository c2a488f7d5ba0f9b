import { MessageRouter } from './router.ts';

let source: () => Promise<MessageRouter> = () => Promise.resolve(new MessageRouter());

/** Says whose consumers are told of, when nobody gave a router. */
export function useDefaultRouter(get: () => Promise<MessageRouter>): void {
  source = get;
}

export const defaultRouter = (): Promise<MessageRouter> => source();

import type { Handler, Middleware } from '../../message/handler.ts';

/** Wraps the innermost handler in the layers, the first of which becomes the outermost. */
export const compose = (layers: readonly Middleware[], innermost: Handler): Handler =>
  layers.reduceRight((next, layer) => layer(next), innermost);

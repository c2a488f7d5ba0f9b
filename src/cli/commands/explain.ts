import type { Route } from '../../router/route.ts';
import { overlap, topicWords } from '../../util/topic-pattern.ts';
import type { CommandContext } from '../context.ts';

/** Says which consumer takes a message of this exchange and routing key. Asks no server. */
export async function explain(context: CommandContext, exchange: string, routingKey: string): Promise<0> {
  const settings = await context.loadSettings();
  const { loadRouter } = await import('../consumers.ts');
  const { explanationText } = await import('../../router/explain-text.ts');
  const { routedBy, topologySpec } = await import('../../settings/parts.ts');
  const router = await loadRouter(settings, { preferSources: false });
  const explanation = router.explain(exchange, routingKey);
  const { taken, considered } = explanation;
  const { name: queue } = settings.queue;
  const binds = routedBy(topologySpec(settings, router.bindings())).filter((bind) => bind.exchange === exchange);
  // Every queue is bound to the default exchange by its own name.
  const isBound =
    exchange === ''
      ? routingKey === queue
      : binds.some(({ pattern }) => overlap(topicWords(pattern), topicWords(routingKey)));
  const result = {
    exchange,
    routingKey,
    handler: taken ? routeFields(taken) : null,
    bound: isBound,
    considered: considered.map(({ route, verdict, why }) => ({ ...routeFields(route), verdict, why })),
    ...(taken ? {} : { unhandled: settings.unhandled }),
  };
  const lines = [
    explanationText(explanation),
    ...(taken ? [] : [UNHANDLED[settings.unhandled]]),
    ...(isBound
      ? []
      : [`queue ${queue} is not bound for it by the settings: it does not come, unless somebody binds it by hand`]),
  ];
  context.print(result, lines.join('\n'));
  return 0;
}

const UNHANDLED = {
  ack: 'it is acked and counted (unhandled: ack)',
  'dead-letter': 'it goes to the dead letters (unhandled: dead-letter)',
} as const;

const routeFields = ({ name, file, kind, level, exchange, pattern }: Route) => ({
  name,
  file,
  kind,
  level,
  exchange,
  pattern,
});

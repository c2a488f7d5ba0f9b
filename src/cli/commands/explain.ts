import type { Route } from '../../router/route.ts';
import type { CommandContext } from '../context.ts';

/** Says which consumer takes a message of this exchange and routing key. Asks no server. */
export async function explain(context: CommandContext, exchange: string, routingKey: string): Promise<0> {
  const settings = await context.loadSettings();
  const { loadRouter } = await import('../consumers.ts');
  const { explanationText } = await import('../../router/explain-text.ts');
  const explanation = (await loadRouter(settings, { preferSources: false })).explain(exchange, routingKey);
  const { taken, considered } = explanation;
  const result = {
    exchange,
    routingKey,
    handler: taken ? routeFields(taken) : null,
    considered: considered.map(({ route, verdict, why }) => ({ ...routeFields(route), verdict, why })),
    ...(taken ? {} : { unhandled: settings.unhandled }),
  };
  context.print(
    result,
    taken ? explanationText(explanation) : `${explanationText(explanation)}\n${UNHANDLED[settings.unhandled]}`,
  );
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

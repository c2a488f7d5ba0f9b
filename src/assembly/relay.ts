import { REBIND_MS } from '../broker/rebind-watch.ts';
import { Relay } from '../outbox/relay.ts';
import { relayOptions } from '../settings/parts.ts';
import type { Assembled } from './assembled.ts';
import type { Assembly } from './assembly.ts';
import { outboxSource, relayReadings } from './readings.ts';

/** Longer than consumers take to see that an exchange has gone, and to bind to it again. */
const EXCHANGE_REST_MS = REBIND_MS + 30_000;

/** What `svc-comm runpublisher` runs. */
export function assembleRelay(assembly: Assembly): Assembled<Relay> & { readonly isReady: () => boolean } {
  const { settings, logger } = assembly;
  const publishing = assembly.connection('relay');
  const publisher = assembly.publisher(publishing, { exchangeRestMs: EXCHANGE_REST_MS });
  assembly.databaseUrl();
  const main = new Relay({
    connect: ({ name, settings: session }) => assembly.connect(name, session),
    wait: settings.wait,
    pipe: publisher,
    schema: settings.schema,
    telemetry: assembly.telemetry,
    logger,
    options: relayOptions(settings),
  });
  const services = [publishing, publisher, main];
  return {
    main,
    services,
    isReady: () => main.isConnected && publishing.current !== undefined,
    metrics: { counts: () => relayReadings(main), source: outboxSource(assembly, services) },
  };
}

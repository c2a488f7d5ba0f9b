import { Relay } from '../outbox/relay.ts';
import { relayOptions } from '../settings/parts.ts';
import type { Assembled } from './assembled.ts';
import type { Assembly } from './assembly.ts';
import { outboxSource, relayReadings } from './readings.ts';

/** What `svc-comm runpublisher` runs. */
export function assembleRelay(assembly: Assembly): Assembled<Relay> & { readonly isReady: () => boolean } {
  const { settings, logger } = assembly;
  const publishing = assembly.connection('relay');
  const publisher = assembly.publisher(publishing);
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
  assembly.meters.add(() => relayReadings(main));
  const services = [publishing, publisher, main];
  assembly.meters.add(outboxSource(assembly, services));
  return {
    main,
    services,
    isReady: () => main.isConnected && publishing.current !== undefined,
  };
}

import type { Publisher } from '../../src/message/publisher.ts';
import type { Delivery } from '../../src/message/subscriber.ts';
import type { Topology } from '../../src/message/topology.ts';
import { compiled } from '../compiled.ts';
import { EVENT_TYPE, type Payload, sampleEvent } from '../event.ts';
import type { Path } from './ratio.ts';

const QUEUE = 'orders';
const AGGREGATE = 'order';
const PREFETCH = 100;

/** A delivery through lanes, router, layers and handler to its ack, as many at once as a prefetch allows. */
export async function consumePath(): Promise<Path> {
  const { MessageRouter } = await compiled('router/router');
  const { eventConsumer } = await compiled('index');
  const { createWorkings } = await compiled('consumer/workings');
  const { Pipeline } = await compiled('consumer/pipeline');
  const { Telemetry } = await compiled('telemetry/telemetry');
  const { Meters } = await compiled('telemetry/meters');
  const router = new MessageRouter();
  let ids = 0;
  router.consumer(
    AGGREGATE,
    'create.*',
  )(
    eventConsumer((payload: Payload) => {
      ids += payload.id;
    }),
  );
  const never = () => {
    throw new Error('nothing is to be published or declared');
  };
  const pipeline = new Pipeline(
    createWorkings({
      publisher: { publish: never } satisfies Publisher,
      topology: { ensure: never } satisfies Topology,
      topologySpec: {
        exchanges: [],
        queue: { name: QUEUE, type: 'quorum', singleActiveConsumer: false, arguments: {} },
        binds: [],
        retryDelaysMs: [1000],
      },
      router,
      // As services have it, when nobody has set up an OpenTelemetry or asked for metrics.
      telemetry: new Telemetry({ meters: new Meters() }),
    }),
  );
  const body = Buffer.from(sampleEvent(AGGREGATE));
  const { signal: lost } = new AbortController();
  let acked = 0;
  let sent = 0;
  const deliver = (onAck: () => void): Delivery => ({
    queue: QUEUE,
    exchange: AGGREGATE,
    routingKey: EVENT_TYPE,
    redelivered: false,
    body,
    properties: { contentType: 'application/json', messageId: `m${sent++}`, deliveryMode: 2 },
    lost,
    ack() {
      acked += 1;
      onAck();
      return true;
    },
    release: never,
  });
  return {
    name: 'consume: a delivery to its ack',
    most: 2,
    async run(times) {
      const end = acked + times;
      const idsBefore = ids;
      await new Promise<void>((resolve) => {
        let left = times;
        let isRefilling = false;
        // As the socket brings them: the next ones come in a later turn, many at a time.
        const onAck = () => {
          if (acked === end) resolve();
          if (isRefilling) return;
          isRefilling = true;
          setImmediate(refill);
        };
        const refill = () => {
          isRefilling = false;
          while (left > 0 && pipeline.inFlight < PREFETCH) {
            left -= 1;
            pipeline.receive(deliver(onAck));
          }
        };
        refill();
      });
      if (ids - idsBefore !== times) throw new Error('not every message was handled once');
    },
  };
}

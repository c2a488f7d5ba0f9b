import {
  type BeforeApplicationShutdown,
  Global,
  Inject,
  Injectable,
  Logger,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { createService, loadSettings, messageRouter, type SvcCommService } from 'svc-comm';
import { DataSource } from 'typeorm';
import { Order, Shipment } from './order.ts';
import { OrderConsumers } from './order-consumers.ts';

export const SVC_COMM = Symbol('svc-comm');
const CONNECTED = Symbol('svc-comm and its database');

interface Connected {
  readonly service: SvcCommService;
  readonly dataSource: DataSource;
}

/** Service and data source, each of which needs the other: handlers run in transactions of TypeORM. */
async function connect(): Promise<Connected> {
  let dataSource: DataSource | undefined;
  const settings = await loadSettings({
    overrides: {
      transactions: (work) => {
        if (!dataSource) throw new Error('the data source is not there yet');
        return dataSource.transaction(work);
      },
    },
  });
  const service = createService(settings, { messageRouter });
  await service.migrate();
  const { databaseUrl } = await service.endpoints();
  dataSource = new DataSource({
    type: 'postgres',
    url: databaseUrl ?? '',
    entities: [Order, Shipment],
    // In production: migrations of your own, and `svc-comm migrate` before the rollout.
    synchronize: true,
  });
  return { service, dataSource: await dataSource.initialize() };
}

/** Consumes and publishes for as long as the application runs. */
@Injectable()
class Messaging implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  readonly #consumer;
  readonly #relay;

  constructor(
    @Inject(CONNECTED) private readonly connected: Connected,
    @Inject(OrderConsumers) consumers: OrderConsumers,
  ) {
    messageRouter.register(consumers);
    this.#consumer = connected.service.consumer();
    this.#relay = connected.service.relay();
  }

  async onApplicationBootstrap(): Promise<void> {
    await Promise.all([this.#consumer.start(), this.#relay.start()]);
  }

  /** Before the server stops and other providers go: handlers that run still need them. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.#consumer.stop();
  }

  /** After the last request is answered: what it published is sent by the relay, here or elsewhere. */
  async onApplicationShutdown(): Promise<void> {
    await this.connected.service.close();
    await this.connected.dataSource.destroy();
  }
}

@Global()
@Module({
  providers: [
    Logger,
    OrderConsumers,
    Messaging,
    { provide: CONNECTED, useFactory: connect },
    { provide: SVC_COMM, inject: [CONNECTED], useFactory: ({ service }: Connected) => service },
    { provide: DataSource, inject: [CONNECTED], useFactory: ({ dataSource }: Connected) => dataSource },
  ],
  exports: [SVC_COMM, DataSource],
})
export class MessagingModule {}

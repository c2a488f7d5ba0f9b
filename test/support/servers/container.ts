import { PostgreSqlContainer } from '@testcontainers/postgresql';
import { RabbitMQContainer } from '@testcontainers/rabbitmq';
import { getContainerRuntimeClient } from 'testcontainers';

export interface ContainerServer {
  readonly url: string;
  readonly id: string;
}

/** Kept containers are marked for reuse, so that the reaper which removes the others with this process passes them by. */
export async function startBrokerContainer(keep: boolean): Promise<ContainerServer> {
  const container = new RabbitMQContainer('rabbitmq:3.13-alpine');
  const started = await (keep ? container.withReuse() : container).start();
  return { url: started.getAmqpUrl().replace('amqp://', 'amqp://guest:guest@'), id: started.getId() };
}

export async function startDatabaseContainer(keep: boolean): Promise<ContainerServer> {
  const container = new PostgreSqlContainer('postgres:15-alpine');
  const started = await (keep ? container.withReuse() : container).start();
  return { url: started.getConnectionUri(), id: started.getId() };
}

export async function removeContainer(id: string): Promise<void> {
  const client = await getContainerRuntimeClient();
  const container = client.container.getById(id);
  await client.container.stop(container, { timeout: 0 });
  await client.container.remove(container, { removeVolumes: true });
}

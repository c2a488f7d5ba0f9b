import type { ServicesOverview } from '../../discovery/overview.ts';
import { UnknownServiceError } from '../../errors.ts';
import type { CommandContext } from '../context.ts';
import { withService } from '../with-service.ts';
import { overviewText, serviceText } from './services-text.ts';

/** Who is there, who listens to what, and what nobody takes. */
export async function services(context: CommandContext): Promise<0> {
  const overview = await look(context);
  context.print(overview, overviewText(overview));
  return 0;
}

/** @throws UnknownServiceError (SVC_COMM_UNKNOWN_SERVICE) */
export async function show(context: CommandContext, name: string): Promise<0> {
  const overview = await look(context);
  const service = overview.services.find((one) => one.name === name);
  if (!service) {
    throw new UnknownServiceError(
      name,
      overview.services.map((one) => one.name),
    );
  }
  const unheard = overview.unheard.filter((message) => message.services.includes(name));
  context.print({ ...service, unheard }, serviceText(service, unheard));
  return 0;
}

const look = (context: CommandContext): Promise<ServicesOverview> =>
  withService(context, (service) => service.services());

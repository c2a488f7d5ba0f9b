import { type EventInfo, eventConsumer, type KnexTransaction, type MessageContext, messageRouter } from 'svc-comm';
import config from '../svc-comm.config.ts';
import type { Workflow } from './workflow.ts';
import { markConsumed } from './workflows.ts';

const { appId: exchange = 'workflow', schema = 'public' } = config;

/** The stand-alone consumer, instead of GET /workflow/consume: `npm run consumer`. CSVs are at /workflow/{uuid}.csv then. */
export class WorkflowConsumers {
  @messageRouter.consumer(exchange, 'inserted')
  @eventConsumer
  static async onInserted(payload: Workflow, _event: EventInfo, context: MessageContext): Promise<void> {
    const workflow = await markConsumed(context.transaction as KnexTransaction, schema, payload.uuid);
    if (workflow) context.logger.info({ uuid: workflow.uuid }, 'workflow consumed');
  }
}

import { UsageError } from '../../errors.ts';
import type { FutureEvents, FutureSelection } from '../../outbox/future-events.ts';
import type { Tags } from '../../outbox/validate.ts';
import { ask, canAsk } from '../ask.ts';
import type { CommandContext } from '../context.ts';
import { columns, printable } from '../printable.ts';
import { untilAnswered } from '../until-answered.ts';
import { withService } from '../with-service.ts';

interface SelectOptions {
  readonly aggregate?: string;
  readonly eventType?: string;
  readonly tag?: Tags;
  readonly id?: readonly string[];
}

export interface ListOptions extends SelectOptions {
  readonly limit: number;
}

export interface CancelOptions extends SelectOptions {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

export function ls(context: CommandContext, options: ListOptions): Promise<0 | 1> {
  return withService<0>(context, async (service, logger) => {
    const look = () => service.futureEvents(selectionOf(options), options.limit);
    const found = await untilAnswered(look, { wait: service.settings.wait, logger });
    context.print(found, listText(found));
    return 0;
  });
}

/** Asks on a terminal. @throws UsageError (SVC_COMM_USAGE) elsewhere, without `--yes`; and when nothing is selected by */
export async function cancel(context: CommandContext, options: CancelOptions): Promise<0 | 1> {
  const { dryRun = false, yes = false } = options;
  const selection = selectionOf(options);
  if (Object.keys(selection).length === 0) {
    throw new UsageError('say which events: --aggregate, --event-type, --tag or --id');
  }
  const isAsking = !yes && !dryRun;
  if (isAsking && !canAsk()) {
    throw new UsageError('what is cancelled cannot be brought back: say --yes, or look first with --dry-run');
  }
  return withService<0 | 1>(context, async (service, logger) => {
    // With --yes as well: a question can be asked again until the database is there, a cancellation cannot.
    const count = () => service.futureEvents(selection, 0);
    const { selected } = await untilAnswered(count, { wait: service.settings.wait, logger });
    if (dryRun) {
      context.print({ cancelled: selected, dryRun }, `${selected} would be cancelled`);
      return 0;
    }
    if (isAsking && !(await ask(`cancel ${selected} future events for good?`))) return 1;
    const cancelled = await service.cancelFutureEvents(selection);
    context.print({ cancelled, dryRun }, `${cancelled} cancelled`);
    return 0;
  });
}

const selectionOf = ({ aggregate, eventType, tag, id }: SelectOptions): FutureSelection => ({
  ...(aggregate === undefined ? {} : { aggregate }),
  ...(eventType === undefined ? {} : { eventType }),
  ...(tag === undefined ? {} : { tags: tag }),
  ...(id === undefined ? {} : { ids: id }),
});

function listText({ selected, events, retries }: FutureEvents): string {
  const rows = events.map(({ eventTime, aggregate, eventType, key, tags, eventId }) =>
    [eventTime.toISOString(), aggregate, eventType, key ?? '-', JSON.stringify(tags), eventId].map(printable),
  );
  return [
    selected === 0 ? 'no future events' : `${selected} future events`,
    ...(rows.length === 0 ? [] : columns([['due', 'aggregate', 'type', 'key', 'tags', 'id'], ...rows])),
    ...(events.length > 0 && events.length < selected ? [`${selected - events.length} more: --limit`] : []),
    ...(retries > 0 ? [`beside them ${retries} messages wait for their time: of retries and delayed tasks`] : []),
  ].join('\n');
}

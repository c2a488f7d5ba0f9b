import type { TakeHandler } from './consumer/take-one.ts';
import {
  byCallContract,
  byCommandContract,
  byEventContract,
  bySendCallContract,
  type Call,
  type PublishAggregateEvent,
  type SendCall,
  type SendCommand,
} from './contract/typed.ts';
import type { KnexTransaction } from './database/transactions.ts';
import { defaultService, handOver } from './default-service.ts';
import type { AggregateEvent } from './outbox/event-row.ts';
import type { FutureAggregateEvent, FutureEventFilter, PublishedEvent } from './outbox/outbox.ts';
import type { TransactionOption } from './outbox/transaction-choice.ts';
import { asSent } from './wire/as-sent.ts';

/** {@inheritDoc SvcCommService.transaction} */
export async function transaction<T, Handle = KnexTransaction>(
  work: (transaction: Handle) => Promise<T>,
  ...nothing: []
): Promise<T> {
  return (await defaultService()).transaction(work, ...nothing);
}

/** Settings that are still to be read make no difference to what is sent. What is no event is told so by the service. */
function keptEvent<Event extends AggregateEvent & { readonly eventTime?: unknown }>(event: Event): Event {
  if (typeof event !== 'object' || event === null) return event;
  const time = event.eventTime instanceof Date ? { eventTime: new Date(event.eventTime.getTime()) } : {};
  return Object.create(event, Object.getOwnPropertyDescriptors({ ...event, ...time, payload: asSent(event.payload) }));
}
const keptEvents = (events: readonly AggregateEvent[]) => (Array.isArray(events) ? events.map(keptEvent) : events);

/** {@inheritDoc Outbox.publishAggregateEvent} */
export const publishAggregateEvent: PublishAggregateEvent = byEventContract((event, options) =>
  handOver(event, keptEvent, (service, given) => service.publishAggregateEvent(given, options)),
);

/** {@inheritDoc Outbox.publishAggregateEvents} */
export async function publishAggregateEvents(
  events: readonly AggregateEvent[],
  options?: TransactionOption,
): Promise<PublishedEvent[]> {
  return handOver(events, keptEvents, (service, given) => service.publishAggregateEvents(given, options));
}

/** {@inheritDoc Outbox.publishFutureAggregateEvent} */
export async function publishFutureAggregateEvent(
  event: FutureAggregateEvent,
  options?: TransactionOption,
): Promise<PublishedEvent> {
  return handOver(event, keptEvent, (service, given) => service.publishFutureAggregateEvent(given, options));
}

/** {@inheritDoc Outbox.cancelFutureAggregateEvent} */
export async function cancelFutureAggregateEvent(
  filter: FutureEventFilter,
  options?: TransactionOption,
): Promise<number> {
  return (await defaultService()).cancelFutureAggregateEvent(filter, options);
}

/** {@inheritDoc CommandSender.send} */
export const sendCommand: SendCommand = byCommandContract((service, args, options) =>
  handOver(args, asSent, (sender, given) => sender.sendCommand(service, given, options)),
);

/** {@inheritDoc Caller.call} */
export const call: Call = byCallContract((service, method, data, options) =>
  handOver(data, asSent, (caller, given) => caller.call(service, method, given, options)),
);

/** {@inheritDoc CallSender.send} */
export const sendCall: SendCall = bySendCallContract((service, method, data, options) =>
  handOver(data, asSent, (caller, given) => caller.sendCall(service, method, given, options)),
);

/** {@inheritDoc SvcCommService.takeOne} */
export async function takeOne(queue: string, handler: TakeHandler): Promise<unknown> {
  return (await defaultService()).takeOne(queue, handler);
}

export type { ServiceParts } from './assemble.ts';
export { createService, SvcCommService } from './assemble.ts';
export type { Endpoints } from './assembly/embedded.ts';
export type { MonitorAddress } from './assembly/monitor.ts';
export type { ConsumerService, MonitorService, RelayService, WorkerService } from './assembly/role-service.ts';
export type { SendCallOptions } from './call/call-sender.ts';
export type { CallOptions } from './call/caller.ts';
export type { CallStats } from './call/pending-calls.ts';
export type { SendCommandOptions, SentCommand } from './command/command-sender.ts';
export type { ConsumerStats } from './consumer/stats.ts';
export type { TakeHandler } from './consumer/take-one.ts';
export type { Call, ContractEventOptions, PublishAggregateEvent, SendCall, SendCommand } from './contract/typed.ts';
export { eventOf } from './contract/typed.ts';
export type { KnexTransaction, OpenTransaction } from './database/transactions.ts';
export { knexTransactions } from './database/transactions.ts';
export type { DeadLetter } from './dead-letters/dead-letter.ts';
export type { DeadLetterSummary, DeadLetters, ShownDeadLetter } from './dead-letters/dead-letters.ts';
export type { DeadLetterFilter } from './dead-letters/filter.ts';
export type { DeadLetterGroup } from './dead-letters/groups.ts';
export type { SweepOptions, SweepResult } from './dead-letters/sweep.ts';
export { close, messageRouter } from './default-service.ts';
export type { Consumed, ProcessBrief, Published, ServiceRole, TaskBrief } from './discovery/description.ts';
export type { Listeners, ServicesOverview, Unheard } from './discovery/overview.ts';
export type { InstanceView, ServiceView } from './discovery/service-view.ts';
export type { Finding, ProblemCode } from './doctor/problems.ts';
export {
  BackpressureError,
  BrokerAccessRefusedError,
  BrokerTlsError,
  BrokerUnavailableError,
  CallLostError,
  CallTimeoutError,
  CommitAbortedError,
  CommitUnknownError,
  ContractViolationError,
  CrashingMessageError,
  DatabaseAccessRefusedError,
  DatabaseBusyError,
  type DatabaseOutage,
  DatabaseRightsError,
  DatabaseUnavailableError,
  DeadlineExceededError,
  DeadlockError,
  DeliveryLostError,
  DiscoveryUnavailableError,
  DuplicateConsumerError,
  DuplicateProcessError,
  DuplicateTaskError,
  EmbeddedDatabaseMissingError,
  EmbeddedStateError,
  ExchangeUnavailableError,
  HandlerStoppedError,
  HandlerTimeoutError,
  InstanceNotFoundError,
  InstanceWaitTimeoutError,
  InvalidArgumentError,
  InvalidConsumerError,
  InvalidNameError,
  InvalidProcessInputError,
  InvalidTaskArgumentsError,
  KeyParkedError,
  ListenError,
  MalformedMessageError,
  MessageTooLargeError,
  MigrationBlockedError,
  MigrationRequiredError,
  MigrationRightsError,
  MissingPackageError,
  ModuleLoadError,
  NoConsumersError,
  NoTasksError,
  NotATransactionError,
  NotRunningError,
  NotSettledError,
  OpenAddressError,
  OverMaxConcurrencyError,
  ProcessConflictError,
  ProcessDefinitionError,
  PublishRefusedError,
  PublishTimeoutError,
  QueueUnavailableError,
  Reject,
  RemoteError,
  RestApiAbortedError,
  RestApiBadGatewayError,
  RestApiBadRequestError,
  RestApiCircuitOpenError,
  RestApiClientError,
  RestApiConnectionError,
  RestApiError,
  RestApiForbiddenError,
  RestApiGatewayTimeoutError,
  RestApiLoginError,
  RestApiNotFoundError,
  RestApiRedirectError,
  RestApiResponseTooLargeError,
  RestApiServerError,
  RestApiTimeoutError,
  RestApiUnauthorizedError,
  RestApiUnreadableResponseError,
  RetryLater,
  SettingsError,
  StartAbortedError,
  SvcCommError,
  type TableHolder,
  TaskConflictError,
  TaskFailedError,
  TaskLostError,
  TaskNotFoundError,
  TaskProcessError,
  TaskRevokedError,
  TaskTimeoutError,
  TaskWaitTimeoutError,
  ThrownValueError,
  TopologyMismatchError,
  TransactionAbortedError,
  TransactionEndedInsideError,
  TransactionFinishedError,
  type TransactionLimit,
  TransactionRequiredError,
  TransactionTimeoutError,
  UnhandledMessageError,
  UnknownProcessError,
  UnknownServiceError,
  UnknownTaskError,
  UnreadableReplyError,
  UnregisteredConsumerError,
  UnroutableError,
  UnserialisablePayloadError,
  UsageError,
} from './errors.ts';
export type { Logger } from './lifecycle/logger.ts';
export type { Service, ServiceState } from './lifecycle/service.ts';
export type { OfArguments } from './message/command-arguments.ts';
export type {
  CallContract,
  CommandContract,
  Contract,
  EventContract,
  InputOf,
  OutputOf,
  Schema,
} from './message/contract.ts';
export { callable, command, event } from './message/contract.ts';
export type { Handler, Incoming, MessageContext, Middleware, Verdict } from './message/handler.ts';
export type { Headers, HeaderValue, MessageProperties } from './message/message.ts';
export type { Backlog } from './outbox/backlog.ts';
export type { AggregateEvent } from './outbox/event-row.ts';
export type { FutureEvents, FutureSelection, WaitingFutureEvent } from './outbox/future-events.ts';
export type { FutureAggregateEvent, FutureEventFilter, PublishedEvent } from './outbox/outbox.ts';
export type { RelayStats } from './outbox/relay-stats.ts';
export type { TransactionOption } from './outbox/transaction-choice.ts';
export type { CallConsumerOptions, CallHandler, CallInfo } from './router/call-consumer.ts';
export { callConsumer } from './router/call-consumer.ts';
export type { CallResponseHandler, CallResponseInfo } from './router/call-response-consumer.ts';
export { callResponseConsumer } from './router/call-response-consumer.ts';
export type { CommandHandler } from './router/command-consumer.ts';
export { commandConsumer } from './router/command-consumer.ts';
export type { EventHandler } from './router/event-consumer.ts';
export { eventConsumer } from './router/event-consumer.ts';
export type { ConsumerOptions } from './router/kind.ts';
export type { RawHandler } from './router/raw-consumer.ts';
export { rawConsumer } from './router/raw-consumer.ts';
export { MessageRouter } from './router/router.ts';
export type { Settings } from './settings/define.ts';
export { defineConfig } from './settings/define.ts';
export { type LoadOptions, loadSettings } from './settings/load.ts';
export type { ResolvedSettings } from './settings/resolved.ts';
export type { Correlation } from './util/correlation.ts';
export { currentCorrelation, withCorrelation } from './util/correlation.ts';
export type { Duration } from './util/duration.ts';
export type { FastifyHooks, RequestCorrelationOptions, RequestHeaders } from './util/request-correlation.ts';
export {
  correlateRequest,
  expressCorrelation,
  fastifyCorrelation,
  requestCorrelation,
} from './util/request-correlation.ts';
export type { EventInfo } from './wire/event.ts';

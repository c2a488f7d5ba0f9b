export type { HandledMessage } from './testing/handler-probe.ts';
export { PlannedFailure } from './testing/handler-probe.ts';
export type { DeadMessage, PublishedMessage } from './testing/seen-message.ts';
export type { SettleOptions, TestServiceOptions } from './testing/test-service.ts';
export { TestService, testService } from './testing/test-service.ts';

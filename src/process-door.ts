import './task-door.ts';
import { coreServicesOf, useCoreServices } from './process/core/services.ts';
import { useProcesses } from './process/process-source.ts';

const defaultService = async () => (await import('./default-service.ts')).defaultService();
useCoreServices(async () => coreServicesOf(await defaultService()));
useProcesses({
  processes: async () => (await defaultService()).processes(),
  registry: async () => (await defaultService()).processRegistry,
});

export {
  DuplicateProcessError,
  InstanceNotFoundError,
  InstanceWaitTimeoutError,
  InvalidProcessInputError,
  ProcessConflictError,
  ProcessDefinitionError,
  UnknownProcessError,
} from './errors.ts';
export type { Logger } from './lifecycle/logger.ts';
export type { NamedStep } from './process/catalogue.ts';
export { StepCatalogue } from './process/catalogue.ts';
export type { BoundStep, ProcessDefinition, ProcessMeta, ProcessOptions } from './process/definition.ts';
export { defineProcess, Process } from './process/definition.ts';
export type {
  AsyncStepDescription,
  FieldDescription,
  FieldType,
  JsonSchema,
  ProcessDescription,
  StepDescription,
} from './process/description.ts';
export { FIELD_TYPES } from './process/description.ts';
export type { FieldOptions } from './process/field.ts';
export type { InstanceState, InstanceTask, ProcessInstance, StepStatus } from './process/instance.ts';
export { INSTANCE_STATES, STEP_STATUSES } from './process/instance.ts';
export type { CreateOptions, CreateResult, EndOptions, ListInstancesOptions, Processes } from './process/processes.ts';
export type {
  AsyncStepArguments,
  AsyncStepReference,
  Step,
  StepArguments,
  StepReference,
} from './process/reference.ts';
export { ProcessRegistry, processRegistry } from './process/registry.ts';
export type { AnyBody, ProcessRequest, RequestSnapshot, StepContext, SyncRequest } from './process/request.ts';
export type { StepFunction, StepKind, StepOptions, TaskStepOptions } from './process/step.ts';
export { ProcessStep, processTask, validation } from './process/step.ts';

import './task-door.ts';

export { DuplicateProcessError, ProcessDefinitionError, UnknownProcessError } from './errors.ts';
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

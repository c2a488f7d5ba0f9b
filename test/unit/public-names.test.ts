import { expect, it } from 'vitest';
import * as errors from '../../src/errors.ts';
import * as http from '../../src/http-door.ts';
import * as door from '../../src/index.ts';
import * as process from '../../src/process-door.ts';
import * as formatters from '../../src/rest-api/formatter.ts';
import * as restApi from '../../src/rest-api-door.ts';

const ERRORS = Object.entries(errors).flatMap(([name, value]) =>
  typeof value === 'function' && (value === errors.SvcCommError || value.prototype instanceof errors.SvcCommError)
    ? [name]
    : [],
);

/** What users may rely on. A name that is not here is free to change; one that goes from here breaks them. */
const NAMES = [
  'MessageRouter',
  'SvcCommService',
  'call',
  'callConsumer',
  'callResponseConsumer',
  'callable',
  'cancelFutureAggregateEvent',
  'close',
  'command',
  'commandConsumer',
  'correlateRequest',
  'createService',
  'currentCorrelation',
  'defineConfig',
  'event',
  'eventConsumer',
  'eventOf',
  'expressCorrelation',
  'fastifyCorrelation',
  'knexTransactions',
  'loadSettings',
  'messageRouter',
  'publishAggregateEvent',
  'publishAggregateEvents',
  'publishFutureAggregateEvent',
  'rawConsumer',
  'requestCorrelation',
  'sendCall',
  'sendCommand',
  'takeOne',
  'transaction',
  'withCorrelation',
];

it('svc-comm exports the names that it promises, and no other', () => {
  expect(
    Object.keys(door)
      .filter((name) => !ERRORS.includes(name))
      .sort(),
  ).toEqual(NAMES);
});

it('svc-comm exports every error class, so that each can be told by instanceof', () => {
  expect(ERRORS.filter((name) => !(name in door))).toEqual([]);
});

it('svc-comm/rest-api exports its methods and its errors, and no other name', () => {
  const restErrors = ERRORS.filter((name) => name.startsWith('RestApi'));
  const methods = ['createRestClient', 'del', 'delete', 'get', 'head', 'patch', 'post', 'put', 'silent'];
  expect(Object.keys(restApi).sort()).toEqual([...restErrors, ...methods].sort());
});

it('svc-comm/rest-api/formatter exports the formatters', () => {
  expect(Object.keys(formatters).sort()).toEqual([
    'camelCaseResponse',
    'fileResponse',
    'fullResponse',
    'jsonRequest',
    'jsonResponse',
    'snakeCaseRequest',
  ]);
});

it('svc-comm/process exports what defines processes and tells of their instances, and no other name', () => {
  expect(Object.keys(process).sort()).toEqual([
    'DuplicateProcessError',
    'FIELD_TYPES',
    'INSTANCE_STATES',
    'InstanceNotFoundError',
    'InstanceWaitTimeoutError',
    'InvalidProcessInputError',
    'Process',
    'ProcessConflictError',
    'ProcessDefinitionError',
    'ProcessRegistry',
    'ProcessStep',
    'STEP_STATUSES',
    'StepCatalogue',
    'UnknownProcessError',
    'defineProcess',
    'processRegistry',
    'processTask',
    'validation',
  ]);
});

it('svc-comm/http exports its plugins, its server and their errors, and no other name', () => {
  expect(Object.keys(http).sort()).toEqual([
    'HttpServer',
    'MissingPackageError',
    'OpenAddressError',
    'SERVER_OPTIONS',
    'asyncResource',
    'callerOf',
    'docs',
    'functionServer',
    'guard',
    'health',
    'metrics',
    'processApi',
    'services',
  ]);
});

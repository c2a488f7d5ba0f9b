import { StepCatalogue } from '../catalogue.ts';
import type { ProcessStep } from '../step.ts';
import { httpRequest } from './http-request.ts';
import { jsonSchema } from './json-schema.ts';
import { oneOf } from './one-of.ts';
import { pattern } from './pattern/pattern.ts';
import { publishEvent } from './publish-event.ts';
import { range } from './range.ts';
import { requiredFields } from './required-fields.ts';
import { sendCommand } from './send-command.ts';
import { transform } from './transform.ts';
import { type } from './type.ts';
import { wait } from './wait.ts';
import { writeCsv } from './write-csv.ts';

const VALIDATIONS: Readonly<Record<string, ProcessStep>> = {
  requiredFields,
  type,
  range,
  pattern,
  oneOf,
  jsonSchema,
};

const TASKS: Readonly<Record<string, ProcessStep>> = {
  'http.request': httpRequest,
  'event.publish': publishEvent,
  'command.send': sendCommand,
  wait,
  transform,
  'csv.write': writeCsv,
};

/** The steps of the package, by their names. */
export function coreSteps(): StepCatalogue {
  const catalogue = new StepCatalogue();
  for (const [name, step] of Object.entries(VALIDATIONS)) catalogue.add('validation', name, step);
  for (const [name, step] of Object.entries(TASKS)) catalogue.add('task', name, step);
  return catalogue;
}

import type { OutputUnit, Schema, Validator } from '@cfworker/json-schema';
import { type ProcessStep, validation } from '../step.ts';

/** `[jsonSchema, [{ type: object, … }]]`, draft 2020-12. References lead only into the schema itself. */
export const jsonSchema: ProcessStep = validation(
  { description: 'The body is as a JSON Schema says.' },
  async ({ body }, schema: Schema) => {
    const { valid, errors } = (await validatorOf(schema)).validate(body);
    return valid || textOf(errors);
  },
  ([schema]) => (typeof schema === 'object' && schema !== null ? undefined : 'a JSON Schema, draft 2020-12'),
);

const validators = new WeakMap<object, Validator>();

async function validatorOf(schema: Schema): Promise<Validator> {
  const known = validators.get(schema);
  if (known) return known;
  // Loaded when it is first needed: most processes have none.
  const { Validator: JsonSchemaValidator } = await import('@cfworker/json-schema');
  const made = new JsonSchemaValidator(schema, '2020-12', false);
  validators.set(schema, made);
  return made;
}

const MOST_TOLD = 10;

/** The innermost ones: those above them only say that something further in is wrong. */
function textOf(errors: readonly OutputUnit[]): string {
  const inner = errors.filter(
    ({ instanceLocation: at, keyword }, index) =>
      !errors.slice(index + 1).some((other) => other.instanceLocation.startsWith(`${at}/`)) || keyword === 'required',
  );
  return inner
    .slice(0, MOST_TOLD)
    .map(({ instanceLocation, error }) => `${instanceLocation.replace(/^#\/?/, '') || 'body'}: ${error}`)
    .join('; ');
}

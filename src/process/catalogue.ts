import { InvalidArgumentError } from '../errors.ts';
import { nearestName } from '../util/nearest.ts';
import { ProcessStep, type StepFunction, type StepKind } from './step.ts';

/** A step by the name that processes call it by. */
export interface NamedStep {
  readonly name: string;
  readonly step: ProcessStep;
}

/** The steps that can be called by a name: those of the package, and what is found in the project's folders. */
export class StepCatalogue {
  readonly #byKey: Readonly<Record<StepKind, Map<string, NamedStep>>> = { validation: new Map(), task: new Map() };

  /** @throws InvalidArgumentError when the name is taken by another one */
  add(kind: StepKind, name: string, given: ProcessStep | StepFunction): void {
    const step = given instanceof ProcessStep ? given : new ProcessStep(kind, {}, given);
    if (step.kind !== kind) throw new InvalidArgumentError(`${kind} ${name}`, `a ${kind}`, `a ${step.kind}`);
    const known = this.#byKey[kind].get(keyOf(name));
    if (known && known.step.run !== step.run) {
      throw new InvalidArgumentError(`${kind} ${name}`, 'a name of its own', `that of another, ${known.name}`);
    }
    this.#byKey[kind].set(keyOf(name), { name, step });
  }

  /** Also with `validations.` or `tasks.` in front, and in snake_case. */
  find(kind: StepKind, name: string): NamedStep | undefined {
    return this.#byKey[kind].get(keyOf(withoutFolder(kind, name)));
  }

  /** In the order of the alphabet. */
  names(kind: StepKind): readonly string[] {
    return [...this.#byKey[kind].values()].map(({ name }) => name).sort();
  }

  nearest(kind: StepKind, name: string): string | undefined {
    return nearestName(withoutFolder(kind, name), this.names(kind));
  }
}

/** `required_fields`, `requiredFields` and `required-fields` are one name. */
const keyOf = (name: string): string => name.replaceAll(/[_-]/g, '').toLowerCase();

const FOLDERS: Readonly<Record<StepKind, RegExp>> = {
  validation: /^validations?\.(core\.|custom\.)?/,
  task: /^tasks?\.(core\.|custom\.)?/,
};
const withoutFolder = (kind: StepKind, name: string): string => name.replace(FOLDERS[kind], '');

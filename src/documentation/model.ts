import type { ProcessDescription } from '../process/description.ts';
import type { StepKind } from '../process/step.ts';
import type { MessageCatalogue } from '../router/message-catalogue.ts';
import type { TaskDefinition } from '../task/definition.ts';

export interface DocumentedProcess {
  readonly process: ProcessDescription;
  readonly behaviours: readonly string[];
}

export interface DocumentedTask {
  readonly definition: TaskDefinition;
  readonly behaviours: readonly string[];
}

/** A validation or task that processes can call by its name. */
export interface DocumentedStep {
  readonly kind: StepKind;
  readonly name: string;
  readonly description: string;
  readonly env: readonly string[];
  readonly behaviours: readonly string[];
}

/** Where a page can try things; in a static copy there is none. */
export interface TryOut {
  /** Path that the functions of tasks are under; undefined: they are not served. */
  readonly tasks: string | undefined;
  /** The same of processes. */
  readonly processes: string | undefined;
  /** Whether callers have to say who they are. */
  readonly isSecured: boolean;
  /** `http://localhost:4000`, for examples of requests. */
  readonly origin: string;
}

export interface DocumentationLinks {
  /** Relative to the page, or from the root. */
  readonly openApi: string | undefined;
  readonly asyncApi: string;
  /** Swagger UI. */
  readonly reference: string | undefined;
  readonly style: string;
  readonly script: string | undefined;
}

/** Everything that the page for people shows. */
export interface Documentation {
  readonly title: string;
  readonly version: string;
  readonly description: string | undefined;
  readonly processes: readonly DocumentedProcess[];
  readonly tasks: readonly DocumentedTask[];
  readonly steps: readonly DocumentedStep[];
  readonly messages: MessageCatalogue;
  readonly tryOut: TryOut | undefined;
  readonly links: DocumentationLinks;
}

import { asyncApiDocument } from '../../documentation/asyncapi.ts';
import { Behaviours, type TestSearch } from '../../documentation/behaviours.ts';
import type { Documentation, DocumentedStep } from '../../documentation/model.ts';
import type { ExchangeType } from '../../message/topology.ts';
import type { StepCatalogue } from '../../process/catalogue.ts';
import { type ProcessRegistry, processRegistry } from '../../process/registry.ts';
import type { StepKind } from '../../process/step.ts';
import { messageRouter } from '../../router/default-router.ts';
import { messageCatalogue } from '../../router/message-catalogue.ts';
import type { MessageRouter } from '../../router/router.ts';
import { type TaskRegistry, taskRegistry } from '../../task/registry.ts';

/** What is documented. */
export interface DocumentedParts {
  /** @default 'svc-comm' */
  readonly title?: string | undefined;
  /** @default '1' */
  readonly version?: string | undefined;
  readonly description?: string | undefined;
  /** @default the process's own */
  readonly tasks?: Pick<TaskRegistry, 'definitions'> | undefined;
  /** @default the process's own */
  readonly processes?: Pick<ProcessRegistry, 'descriptions' | 'steps'> | undefined;
  /** Whose consumers. @default the process's own */
  readonly messageRouter?: MessageRouter | undefined;
  /** AMQP URLs, named in the AsyncAPI document without what is secret in them. @default none */
  readonly brokerUrls?: readonly string[] | undefined;
  /** Types of exchanges, for those that are none of topic. @default {} */
  readonly exchangeTypes?: Readonly<Record<string, ExchangeType>> | undefined;
  /** Where tests are whose titles tell what tasks and processes do. @default nowhere */
  readonly tests?: TestSearch | undefined;
}

/** Tests change while they are written; a page that is loaded often need not read them each time. */
const TESTS_KEPT_MS = 5_000;

const STEP_KINDS = ['validation', 'task'] as const satisfies readonly StepKind[];

const stepsOf = (steps: StepCatalogue, kind: StepKind, behaviours: Behaviours): DocumentedStep[] =>
  steps.names(kind).flatMap((name) => {
    const { description = '', env = [] } = steps.find(kind, name)?.step ?? {};
    return [{ kind, name, description, env, behaviours: behaviours.of(name) }];
  });

/** Tells what is registered at the moment, each time it is asked. */
export class DocumentationSource {
  readonly title: string;
  readonly version: string;
  readonly description: string | undefined;
  readonly #parts: DocumentedParts;
  #behaviours: { readonly found: Promise<Behaviours>; readonly until: number } | undefined;

  constructor(parts: DocumentedParts) {
    const { title = 'svc-comm', version = '1', description } = parts;
    this.title = title;
    this.version = version;
    this.description = description;
    this.#parts = parts;
  }

  async page(rest: Pick<Documentation, 'links' | 'tryOut'>): Promise<Documentation> {
    const { tasks = taskRegistry, processes = processRegistry } = this.#parts;
    const { title, version, description } = this;
    const behaviours = await this.#tests();
    return {
      title,
      version,
      description,
      processes: processes.descriptions.map((process) => ({ process, behaviours: behaviours.of(process.id) })),
      tasks: tasks.definitions.map((definition) => ({ definition, behaviours: behaviours.of(definition.name) })),
      steps: STEP_KINDS.flatMap((kind) => stepsOf(processes.steps, kind, behaviours)),
      messages: messageCatalogue(this.#router),
      ...rest,
    };
  }

  async asyncApi(): Promise<object> {
    const { title, version, description } = this;
    const { brokerUrls, exchangeTypes } = this.#parts;
    const catalogue = messageCatalogue(this.#router, { target: 'draft-07' });
    return asyncApiDocument(catalogue, { title, version, description, brokerUrls, exchangeTypes });
  }

  get #router(): MessageRouter {
    return this.#parts.messageRouter ?? messageRouter;
  }

  #tests(): Promise<Behaviours> {
    const { tests } = this.#parts;
    if (!tests) return Promise.resolve(new Behaviours([]));
    const now = performance.now();
    if (!this.#behaviours || now > this.#behaviours.until) {
      this.#behaviours = { found: Behaviours.find(tests), until: now + TESTS_KEPT_MS };
    }
    return this.#behaviours.found;
  }
}

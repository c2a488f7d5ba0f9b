export const STATUSES = ['inserted', 'consumed'] as const;
export type Status = (typeof STATUSES)[number];

/** A JSON object, or a list of them: rows of the CSV. */
export type Data = Record<string, unknown> | Record<string, unknown>[];

export interface Workflow {
  readonly uuid: string;
  readonly status: Status;
  readonly data: Data;
  readonly steps: readonly string[];
}

/** A workflow of a page that would be too long with it: what it holds is left out. */
export type AbridgedWorkflow = Pick<Workflow, 'uuid' | 'status'> & { readonly abridged: true };

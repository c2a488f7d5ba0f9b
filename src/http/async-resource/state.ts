import type { TaskRecord, TaskState } from '../../task/state.ts';

/** How tastypie-async, which has Celery's words, names the states. */
export type ResourceState = 'PENDING' | 'STARTED' | 'SUCCESS' | 'FAILURE' | 'REVOKED';

export function stateOf(state: TaskState): ResourceState {
  switch (state) {
    case 'TIMEOUT':
    case 'LOST':
      return 'FAILURE';
    default:
      return state;
  }
}

/** Where a resource's states and results are. */
export class ResourceUris {
  readonly #base: string;

  /** @param base the resource's own path, without a slash at the end */
  constructor(base: string) {
    this.#base = base;
  }

  state(id: string): string {
    return `${this.#base}/state/${id}/`;
  }
  result(id: string): string {
    return `${this.#base}/result/${id}/`;
  }
}

/** Whether there is a result to get: what the function returned, or why it failed. */
export const hasResult = ({ state }: TaskRecord): boolean => {
  const shown = stateOf(state);
  return shown === 'SUCCESS' || shown === 'FAILURE';
};

export const stateBody = (record: TaskRecord, uris: ResourceUris): object => ({
  id: record.id,
  resource_uri: uris.state(record.id),
  ...(hasResult(record) ? { result_uri: uris.result(record.id) } : {}),
  state: stateOf(record.state),
  ...(record.progress === undefined || hasResult(record) ? {} : { progress: record.progress }),
  ...(record.note === undefined || hasResult(record) ? {} : { note: record.note }),
});

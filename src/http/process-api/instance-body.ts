import type { InstanceTask, ProcessInstance } from '../../process/instance.ts';

/** An instance as it is answered: what is not known is null, so that every answer has the same members. */
export const instanceBody = (instance: ProcessInstance): object => ({
  id: instance.id,
  process: instance.process,
  state: instance.state,
  input: instance.input ?? null,
  createdAt: instance.createdAt,
  finishedAt: instance.finishedAt ?? null,
  tasks: instance.tasks.map((task) => ({
    ...taskBody(task),
    ...(instance.isAbridged ? { input: null } : {}),
  })),
});

const taskBody = (task: InstanceTask): object => ({
  name: task.name,
  kind: task.kind,
  status: task.status,
  input: task.args,
  result: task.result ?? null,
  error: task.error ?? null,
  taskId: task.taskId ?? null,
  dueAt: task.dueAt ?? null,
  startedAt: task.startedAt ?? null,
  finishedAt: task.finishedAt ?? null,
});

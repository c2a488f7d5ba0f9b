import type { Command } from 'commander';
import type { Action } from '../program.ts';

type Add = <Args extends readonly unknown[]>(
  usage: string,
  description: string,
  load: () => Promise<Action<Args>>,
  parent?: Command,
) => Command;

/** `svc-comm services`, and what stands below it. */
export function addServices(add: Add): void {
  const services = add(
    'services',
    'say who is there, and who listens to what',
    async () => (await import('./services.ts')).services,
  );
  add(
    'show',
    'print all that a service tells of itself',
    async () => (await import('./services.ts')).show,
    services,
  ).argument('<name>', 'its appId');
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { CliProject, repository } from '../support/cli-project.ts';

let project: CliProject | undefined;

afterEach(() => project?.remove());

/** The command of the container in docs/operations.md, one word each. */
function documentedCommand(): string[] {
  const text = readFileSync(join(repository, 'docs/operations.md'), 'utf8');
  const [, words = ''] = /^ {4}command: \[(.+)\]$/m.exec(text) ?? [];
  return words.split(', ');
}

test('the command that the documentation gives a container drains when just its own process gets SIGTERM', async () => {
  project = new CliProject({
    'src/consumers.js': `
      import { setTimeout } from 'node:timers/promises';
      import { eventConsumer, messageRouter } from 'svc-comm';
      messageRouter.consumer('EXCHANGE', 'slow')(eventConsumer(async () => {
        console.log('handler begins');
        await setTimeout(1_000);
        console.log('handler ends');
      }));
    `,
  });
  const [first, ...rest] = documentedCommand();
  expect(first).toBe('node');
  const [bin = ''] = rest;
  expect(await project.start([bin, 'migrate']).exit).toBe(0);
  const running = project.start(rest);
  await running.line('consuming from queue');
  const sent = project.start([bin, 'publish', project.exchange, 'slow']);
  expect(await sent.exit).toBe(0);
  await running.line('handler begins');
  expect(await running.stop('SIGTERM')).toBe(0);
  expect(running.lines.join('\n')).toContain('handler ends');
});

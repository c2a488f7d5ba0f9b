import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Running } from './cli-project.ts';

/** Nobody, by whom the image's own user is stood for; only root can become somebody else. */
const IDS = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;
const OWNER = IDS ? `${IDS.uid}:${IDS.gid}` : `${process.getuid?.()}:${process.getgid?.()}`;

export interface Instruction {
  readonly keyword: string;
  readonly rest: string;
}

/** The instructions of a Dockerfile, each in one line, without comments. */
export function readDockerfile(text: string): Instruction[] {
  const lines = text
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const [, keyword = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    return { keyword, rest };
  });
}

/** What an image starts: its command, where, with which variables, and as whom. */
export interface BuiltImage {
  readonly command: readonly string[];
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly user: string;
  readonly exposed: readonly string[];
  readonly healthCheck: readonly string[];
}

export interface BuildOptions {
  /** Of the repository. */
  readonly context: string;
  /** Each stage gets a folder in it, which stands for its root. */
  readonly root: string;
}

/**
 * Executes the instructions of a Dockerfile without an engine: a stage's root is a folder, absolute paths in its
 * instructions are paths in that, and what it runs runs here. The base image is this machine.
 * @throws for an instruction that it does not know
 */
export async function buildImage(text: string, { context, root }: BuildOptions): Promise<BuiltImage> {
  const isSent = await contextFilter(context);
  const stages = new Map<string, string>();
  let stage = root;
  let folder = root;
  let environment: Record<string, string> = {};
  let user = 'root';
  let entry: string[] = [];
  let command: string[] = [];
  let healthCheck: string[] = [];
  const exposed: string[] = [];
  const inside = (path: string): string => (path.startsWith('/') ? join(stage, path) : join(folder, path));
  /** Absolute paths of the image in a shell's line or an argument. */
  const moved = (line: string): string => line.replaceAll(/(?<![\w.:/}])\/(build|opt|code)\b/g, `${stage}/$1`);
  for (const { keyword, rest } of readDockerfile(text)) {
    switch (keyword) {
      case 'FROM': {
        const [, , , name] = /^(\S+)(\s+AS\s+(\S+))?$/i.exec(rest) ?? [];
        stage = join(root, name ?? `stage${stages.size}`);
        stages.set(name ?? '', stage);
        folder = stage;
        environment = {};
        await mkdir(stage, { recursive: true });
        break;
      }
      case 'WORKDIR':
        folder = inside(rest);
        await mkdir(folder, { recursive: true });
        break;
      case 'COPY': {
        const [, , from, paths = ''] = /^(--from=(\S+)\s+)?(.*)$/.exec(rest) ?? [];
        const parts = paths.split(/\s+/);
        const to = parts.pop() ?? '';
        for (const part of parts) {
          const source = from === undefined ? join(context, part) : join(stages.get(from) ?? '', part);
          if (from === undefined && !isSent(part)) throw new Error(`.dockerignore keeps ${part} out`);
          const target = to.endsWith('/') ? join(inside(to), basename(part)) : inside(to);
          await cp(source, target, { recursive: true, verbatimSymlinks: true });
        }
        break;
      }
      case 'RUN':
        await run(moved(rest).replaceAll('node:node', OWNER), folder, environment);
        break;
      case 'ENV':
        for (const [, name = '', value = ''] of rest.matchAll(/(\w+)=(\S+)/g)) environment[name] = value;
        break;
      case 'USER':
        user = rest;
        break;
      case 'EXPOSE':
        exposed.push(rest);
        break;
      case 'HEALTHCHECK':
        healthCheck = JSON.parse(/CMD (.*)$/.exec(rest)?.[1] ?? '[]');
        break;
      case 'ENTRYPOINT':
        entry = JSON.parse(rest);
        break;
      case 'CMD':
        command = JSON.parse(rest);
        break;
      default:
        throw new Error(`unknown instruction ${keyword}`);
    }
  }
  return { command: [...entry, ...command].map(moved), folder, environment, user, exposed, healthCheck };
}

/** As the engine would: with the image's variables and no others, as a user without rights. */
export function startImage(
  image: BuiltImage,
  environment: Readonly<Record<string, string>> = {},
  command = image.command,
): Running {
  const [file = '', ...args] = command;
  return new Running(
    spawn(file === 'node' ? process.execPath : file, args, {
      cwd: image.folder,
      env: { PATH: process.env.PATH, ...image.environment, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...IDS,
    }),
  );
}

/** Whether a path is part of what is sent to the engine, by the first part of its name. */
async function contextFilter(context: string): Promise<(path: string) => boolean> {
  const lines = (await readFile(join(context, '.dockerignore'), 'utf8')).split('\n').filter((line) => line !== '');
  if (lines[0] !== '*') throw new Error('.dockerignore is expected to name what is sent, and to keep all else out');
  const sent = lines.slice(1).map((line) => line.replace(/^!/, ''));
  return (path) => sent.some((name) => name === path || name.startsWith(`${path}/`));
}

async function run(line: string, cwd: string, environment: Readonly<Record<string, string>>): Promise<void> {
  const child = spawn('/bin/sh', ['-ec', line], { cwd, env: { ...process.env, ...environment }, stdio: 'pipe' });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`RUN ${line} exited ${code}:\n${output}`);
}

import { readFileSync } from 'node:fs';

export interface DocumentedError {
  readonly code: string;
  readonly className: string;
  readonly meaning: string;
  readonly fields: readonly string[];
  /** Heading of `src/errors.ts` under which it stands. */
  readonly group: string;
}

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const oneLine = (comment: string): string => comment.replaceAll(/\s*\n\s*\*\s?/g, ' ').trim();

/** The error classes of `src/errors.ts`, with what their doc comments say, in the order of the file. */
export function documentedErrors(): DocumentedError[] {
  const source = read('src/errors.ts');
  const pattern =
    /^\/\/ -+ (?<group>.+)$|^\/\*\*(?<doc>(?:(?!\*\/)[\s\S])*)\*\/\nexport (?<isAbstract>abstract )?class (?<className>\w+) extends (?<parent>\w+) \{\n(?<body>[\s\S]*?)^\}/gm;
  const found: DocumentedError[] = [];
  /** With those of the classes above it. */
  const fieldsOf = new Map<string, string[]>();
  let group = 'settings and lifecycle';
  for (const { groups = {} } of source.matchAll(pattern)) {
    if (groups.group) {
      group = groups.group;
      continue;
    }
    const body = groups.body ?? '';
    const own = [...body.matchAll(/^ {2}(?:readonly|get) (?!code\b)(\w+)\??(?:\(\))?: (.+?)(?:;| \{)$/gm)];
    const fields = [
      ...own.map(([, name, type]) => `\`${name}: ${type}\``),
      ...(fieldsOf.get(groups.parent ?? '') ?? []),
    ];
    fieldsOf.set(groups.className ?? '', fields);
    if (groups.isAbstract) continue;
    found.push({
      group,
      className: groups.className ?? '',
      meaning: oneLine(groups.doc ?? ''),
      code: /readonly code(?:: string)? = '(\w+)'/.exec(body)?.[1] ?? '',
      fields,
    });
  }
  return found;
}

const TODO = 'What to do: ';

/** The hand-written part of `docs/errors.md`: what to do, for each code. */
export function remedies(): Map<string, string> {
  let page = '';
  try {
    page = read('docs/errors.md');
  } catch {
    // The first page has none yet.
  }
  const sections = page.split(/^### /m).slice(1);
  return new Map(
    sections.map((section) => {
      const [, code = ''] = /^`(\w+)`/.exec(section) ?? [];
      const [, text = ''] = new RegExp(`^${TODO}([\\s\\S]*?)(?=\\n\\n|\\n*$)`, 'm').exec(section) ?? [];
      return [code, text.trim()];
    }),
  );
}

/** `docs/errors.md` as it must be: classes and meanings from `src/errors.ts`, what to do from the page as it is. */
export function errorsPage(): string {
  const todo = remedies();
  const lines = [
    '# Errors',
    '',
    'Every failure that svc-comm reports is a class of `src/errors.ts` with a stable `code` to switch on. Texts may change',
    'between releases, codes do not. The data stands in readonly fields, the original error in `cause`; no error carries a',
    'credential.',
    '',
    'One code is no class of ours but of an answer over HTTP alone: `SVC_COMM_PROCESS_TASK_FAILED`, with the 502 of a process',
    'whose synchronous task failed ([processes.md](processes.md#http)).',
    '',
    'Written by `node scripts/docs.mjs` from the classes; the lines *What to do* are kept as they stand here.',
  ];
  let group = '';
  for (const error of documentedErrors()) {
    if (error.group !== group) {
      group = error.group;
      lines.push('', `## ${group[0]?.toUpperCase()}${group.slice(1)}`);
    }
    lines.push('', `### \`${error.code}\``, '', `Class \`${error.className}\`. ${error.meaning}`);
    if (error.fields.length > 0) lines.push('', `Fields: ${error.fields.join(', ')}`);
    lines.push('', `${TODO}${todo.get(error.code) ?? ''}`.trimEnd());
  }
  return `${lines.join('\n')}\n`;
}

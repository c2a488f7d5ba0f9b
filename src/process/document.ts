import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseAllDocuments, visit } from 'yaml';
import { type DefinitionProblem, ProcessDefinitionError } from '../errors.ts';
import { Process, PYTHON_KEYS } from './definition.ts';

const MAX_BYTES = 1024 * 1024;

/**
 * The processes of a file in YAML, or in JSON, which is YAML as well: one, a list of them, or several documents.
 * @param file its name, for errors
 * @throws ProcessDefinitionError (SVC_COMM_PROCESS_DEFINITION) with the lines of what is wrong
 */
export function readProcesses(text: string, file: string): readonly Process[] {
  const id = file;
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw new ProcessDefinitionError(id, [problem(`at most ${MAX_BYTES} bytes`, `${Buffer.byteLength(text)}`)], file);
  }
  const lineCounter = new LineCounter();
  // The core schema of YAML 1.2: no tag makes anything but JSON.
  const documents = parseAllDocuments(text, { version: '1.2', schema: 'core', lineCounter, prettyErrors: false });
  const list = Array.isArray(documents) ? documents : [];
  return list.flatMap((document) => {
    const broken = [...document.errors, ...document.warnings].map((error) =>
      problem('YAML', error.message, lineCounter.linePos(error.pos[0]).line),
    );
    if (broken.length > 0) throw new ProcessDefinitionError(id, broken, file);
    withoutNone(document);
    const { contents } = document;
    const items = isSeq(contents) ? contents.items : contents === null ? [] : [contents];
    return items.map((item) => {
      const lineOf = (path: readonly (string | number)[]) => lineAt(item, path, lineCounter);
      return new Process(valueOfNode(item, document, file), { file, lineOf });
    });
  });
}

/** `default: None` is how DJProcess says that there is none; a quoted text says what it says. */
function withoutNone(document: Document): void {
  visit(document, {
    Pair: (_, { key, value }) => {
      const isDefault = isScalar(key) && key.value === 'default';
      if (isDefault && isScalar(value) && value.type === 'PLAIN' && value.value === 'None') value.value = null;
    },
  });
}

function valueOfNode(item: unknown, document: Document, file: string): unknown {
  if (!isNode(item)) return item;
  try {
    return item.toJS(document);
  } catch (error) {
    // Aliases of aliases, which would be gigabytes.
    throw new ProcessDefinitionError(file, [problem('YAML that is not too much', String(error))], file, {
      cause: error,
    });
  }
}

const problem = (expected: string, got: string, line?: number): DefinitionProblem => ({
  path: [],
  expected,
  got,
  ...(line === undefined ? {} : { line }),
});

/** The line of what a path leads to, or of the nearest that is there. */
function lineAt(item: unknown, given: readonly (string | number)[], lineCounter: LineCounter): number | undefined {
  const path = asSpelled(item, given);
  for (let length = path.length; length >= 0; length--) {
    const node: unknown = length === 0 ? item : isMap(item) ? item.getIn(path.slice(0, length), true) : undefined;
    const start = isNode(node) ? node.range?.[0] : undefined;
    if (start !== undefined) return lineCounter.linePos(start).line;
  }
  return undefined;
}

/** The path in the file's own spelling. */
function asSpelled(item: unknown, path: readonly (string | number)[]): readonly (string | number)[] {
  const [first, ...rest] = path;
  const [python] = [...PYTHON_KEYS].find(([, key]) => key === first) ?? [];
  return python !== undefined && isMap(item) && item.has(python) ? [python, ...rest] : path;
}

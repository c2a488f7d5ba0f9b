import { transform } from 'esbuild';

/** What we need of a Vite plugin; Vite itself is the user's. */
export interface VitestPlugin {
  readonly name: string;
  readonly enforce: 'pre';
  transform(code: string, id: string): Promise<{ code: string; map: string } | undefined>;
}

/**
 * Lets vitest compile standard decorators, which Vite 8's own compiler passes on as they are
 * (`SyntaxError: Invalid or unexpected token`). Not for projects with `experimentalDecorators`.
 * @example
 * import { svcComm } from 'svc-comm/vitest'; // vitest.config.ts
 * export default defineConfig({ plugins: [svcComm()] });
 */
export function svcComm(): VitestPlugin {
  return {
    name: 'svc-comm:standard-decorators',
    enforce: 'pre',
    async transform(code, id) {
      const [file = id] = id.split('?');
      if (!/\.[mc]?tsx?$/.test(file) || !/(^|\s)@[\w$(]/.test(code)) return undefined;
      const loader = file.endsWith('x') ? 'tsx' : 'ts';
      return transform(code, { loader, sourcefile: file, sourcemap: true, target: 'es2022', jsx: 'preserve' });
    },
  };
}

export default svcComm;

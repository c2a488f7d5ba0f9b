// node scripts/docs.mjs: writes docs/errors.md anew from src/errors.ts. A test holds the two equal.
import { mkdirSync, writeFileSync } from 'node:fs';
import { tsImport } from 'tsx/esm/api';

const { errorsPage } = await tsImport('../test/support/errors-page.ts', import.meta.url);
mkdirSync(new URL('../docs/', import.meta.url), { recursive: true });
writeFileSync(new URL('../docs/errors.md', import.meta.url), errorsPage());

// node scripts/docs.mjs: writes docs/errors.md, the tables of docs/settings.md, docs/troubleshooting.md and
// docs/observability.md, and the picture
// docs/concepts.svg anew from the source. Tests hold them equal.
import { readFileSync, writeFileSync } from 'node:fs';
import { tsImport } from 'tsx/esm/api';

const docs = new URL('../docs/', import.meta.url);
const { errorsPage } = await tsImport('../test/support/errors-page.ts', import.meta.url);
writeFileSync(new URL('errors.md', docs), errorsPage());

const { settingsMarkdown } = await tsImport('../src/settings/table.ts', import.meta.url);
const page = new URL('settings.md', docs);
// Consecutive lines that begin with a bar, the first of them with the head of the table.
const table = /^\| setting \|.*\n(?:\|.*\n?)+/m;
writeFileSync(
  page,
  readFileSync(page, 'utf8').replace(table, () => `${settingsMarkdown().trimEnd()}\n`),
);

const { troubleshootingTables } = await tsImport('../src/doctor/troubleshooting.ts', import.meta.url);
const troubleshooting = new URL('troubleshooting.md', docs);
writeFileSync(
  troubleshooting,
  readFileSync(troubleshooting, 'utf8').replace(
    /(<!-- made from .* -->\n).*?(<!-- end -->)/s,
    (_, begin, end) => `${begin}\n${troubleshootingTables()}\n\n${end}`,
  ),
);

const { conceptsPicture } = await tsImport('../test/support/concepts-picture.ts', import.meta.url);
writeFileSync(new URL('concepts.svg', docs), conceptsPicture(readFileSync(new URL('concepts.txt', docs), 'utf8')));

const { metricsTable } = await tsImport('../test/support/metrics-table.ts', import.meta.url);
const observability = new URL('observability.md', docs);
writeFileSync(
  observability,
  readFileSync(observability, 'utf8').replace(
    /(<!-- made from .* -->\n).*?(<!-- end -->)/s,
    (_, begin, end) => `${begin}\n${metricsTable()}\n\n${end}`,
  ),
);

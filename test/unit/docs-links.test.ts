import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md']
  .concat(readdirSync(join(root, 'docs')).map((name) => `docs/${name}`))
  .concat(readdirSync(join(root, 'examples')).map((name) => `examples/${name}/README.md`))
  .filter((page) => page.endsWith('.md') && existsSync(join(root, page)));

const proseOf = (file: string): string => readFileSync(file, 'utf8').replace(/^```[\s\S]*?^```/gm, '');

/** The names that GitHub gives to the headings of a page. */
function anchorsOf(file: string): ReadonlySet<string> {
  const headings = [...proseOf(file).matchAll(/^#+ +(.+)$/gm)].map(([, text = '']) => text);
  const withoutLinks = headings.map((text) => text.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase());
  return new Set(withoutLinks.map((text) => text.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-')));
}

it.each(pages)('each link of %s leads to a file and a heading that are there', (page) => {
  const file = join(root, page);
  const links = [...proseOf(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  const broken = links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? file : resolve(dirname(file), path);
    if (!existsSync(target)) return true;
    return anchor !== undefined && target.endsWith('.md') && !anchorsOf(target).has(anchor);
  });
  expect(broken).toEqual([]);
});

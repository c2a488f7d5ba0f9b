import { existsSync } from 'node:fs';

/** A package that `npm ci --prefix bench` installs: none of ours, and left out where it is not. */
export class Peer {
  readonly name: string;
  readonly #entry: URL;

  /** @param entry file of the package, since it is not found from here by its name */
  constructor(name: string, entry: string) {
    this.name = name;
    this.#entry = new URL(`./node_modules/${name}/${entry}`, import.meta.url);
  }

  get isInstalled(): boolean {
    return existsSync(this.#entry);
  }

  /** Says so where it is not. */
  isThere(): boolean {
    if (!this.isInstalled) console.log(`  ${this.name} is left out: npm ci --prefix bench`);
    return this.isInstalled;
  }

  /** @typeParam Module what we use of its types, which are installed beside the bench only */
  async load<Module>(): Promise<Module> {
    return await import(this.#entry.href);
  }
}

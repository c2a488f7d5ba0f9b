import { afterEach, describe, expect, it, vi } from 'vitest';
import { environmentOf } from '../../src/task/environment.ts';
import { isMissingModule } from '../../src/util/thrown.ts';

afterEach(() => vi.unstubAllEnvs());

describe("with Yarn's Plug'n'Play", () => {
  const hooks = '--require /code/.pnp.cjs --experimental-loader file:///code/.pnp.loader.mjs';

  it.each([hooks, '--require "/my code/.pnp.cjs" --import=./.pnp.register.mjs'])(
    'the process of a task can read packages: %s',
    (options) => {
      vi.stubEnv('NODE_OPTIONS', options);
      expect(environmentOf([])).toMatchObject({ NODE_OPTIONS: options });
    },
  );

  it('the process of a task gets nothing else of NODE_OPTIONS, unless it names that', () => {
    vi.stubEnv('NODE_OPTIONS', `--inspect --import ./telemetry.mjs ${hooks}`);
    expect(environmentOf([])).toMatchObject({ NODE_OPTIONS: hooks });
    expect(environmentOf(['NODE_OPTIONS'])).toMatchObject({ NODE_OPTIONS: process.env.NODE_OPTIONS });
    vi.stubEnv('NODE_OPTIONS', '--inspect');
    expect(environmentOf([])).not.toHaveProperty('NODE_OPTIONS');
  });

  it.each(['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND'])('a package that is not there is known by %s', (code) => {
    expect(isMissingModule(Object.assign(new Error('tried to access fastify'), { code }))).toBe(true);
    expect(isMissingModule(Object.assign(new Error('x'), { code: 'ERR_REQUIRE_ESM' }))).toBe(false);
  });
});

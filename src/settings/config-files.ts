const named = (extensions: readonly string[]): readonly string[] =>
  Object.freeze(extensions.map((extension) => `svc-comm.config.${extension}`));

/** Names of the settings file, in this order where a folder has several. */
export const CONFIG_FILES = named(['ts', 'mts', 'js', 'mjs', 'json']);

/** Forms that other tools read: somebody took them for ours, and would run on defaults without knowing. */
export const OTHER_CONFIG_FILES = named(['cjs', 'cts', 'jsx', 'tsx', 'yaml', 'yml', 'toml', 'jsonc', 'json5']);

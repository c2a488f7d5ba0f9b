/** Names of the settings file, in this order where a folder has several. */
export const CONFIG_FILES: readonly string[] = Object.freeze(
  ['ts', 'mts', 'js', 'mjs', 'json'].map((extension) => `svc-comm.config.${extension}`),
);

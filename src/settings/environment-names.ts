export const PREFIX = 'SVC_COMM_';
/** Names the settings file, like `--config`. */
export const CONFIG_VARIABLE = 'SVC_COMM_CONFIG';
/** Read by the test suites, never by the SDK. */
export const TEST_PREFIX = 'SVC_COMM_TEST_';

/**
 * Whether somebody has set up an OpenTelemetry in this process. Versions 1 of @opentelemetry/api keep what was set up under
 * this symbol, for all copies of it in a process; looking there costs nothing, and its functions that do nothing cost a
 * message as much again as all that we do for it.
 */
export const hasOpenTelemetry = (): boolean => OPEN_TELEMETRY in globalThis;

const OPEN_TELEMETRY = Symbol.for('opentelemetry.js.api.1');

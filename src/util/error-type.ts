/** What kind of error it is, of few kinds: its code, else its class (attribute `error.type` of OpenTelemetry). */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return OTHER;
  const { code } = error as { readonly code?: unknown };
  if (typeof code === 'string' && code !== '') return code;
  return typeof error.name === 'string' && error.name !== '' ? error.name : OTHER;
}

const OTHER = '_OTHER';

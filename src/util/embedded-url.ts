/** What stands in place of a server's URL: one of the project's own, or one of this process that keeps nothing. */
export const EMBEDDED_URLS = ['embedded:', 'embedded:memory'] as const;
export type EmbeddedUrl = (typeof EMBEDDED_URLS)[number];

export const isEmbeddedUrl = (value: unknown): value is EmbeddedUrl => EMBEDDED_URLS.some((url) => url === value);

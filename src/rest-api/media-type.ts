/** `application/json`, `application/problem+json` and their like, with or without parameters. */
export const isJsonType = (type: string | undefined): boolean => type !== undefined && /^[^;]*\bjson\b/i.test(type);

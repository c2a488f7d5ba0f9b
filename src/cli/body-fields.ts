export interface BodyFields {
  readonly body: unknown;
  readonly bodyBytes: number;
  readonly bodyKind: 'json' | 'text' | 'base64';
  readonly isBodyCut: boolean;
}

/** JSON as its value; else text; else base64. One that is longer than `max` bytes is cut, and no JSON then. */
export function bodyFields(bytes: Buffer, max = Number.POSITIVE_INFINITY): BodyFields {
  const isBodyCut = bytes.length > max;
  const part = isBodyCut ? bytes.subarray(0, max) : bytes;
  const fields = { bodyBytes: bytes.length, isBodyCut };
  try {
    const body = new TextDecoder('utf-8', { fatal: true }).decode(part, { stream: isBodyCut });
    if (isBodyCut) return { ...fields, body, bodyKind: 'text' };
    try {
      return { ...fields, body: JSON.parse(body), bodyKind: 'json' };
    } catch {
      return { ...fields, body, bodyKind: 'text' };
    }
  } catch {
    return { ...fields, body: part.toString('base64'), bodyKind: 'base64' };
  }
}

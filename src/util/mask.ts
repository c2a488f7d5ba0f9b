// A password may hold any sign when somebody forgot to percent-encode it; digits and a slash are a port and a path.
const URL_SECRET = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@"]*):(?!\d{1,5}(?:\/|$))[^\s"]*@/gi;
/** `access_token`, `api_key`, `client_secret`, `X-Amz-Signature`, also in a fragment; not the quote around the URL. */
const QUERY_SECRET =
  /([?&;#](?:sig|[\w.-]*(?:password|passwd|pwd|passphrase|token|secret|key|signature|credential))=)(?:[^&\s;"]|"(?!$|[\s,.;:)\]}]))*/gi;

/** Hides passwords in every URL of a text: `amqp://guest:***@host`. Safe on texts without any. */
export function maskUrl(text: string): string {
  return text.replace(URL_SECRET, '$1:***@').replace(QUERY_SECRET, '$1***');
}

const JSON_TEXT = /"(?:[^"\\]|\\.)*"/g;

/** The same for every text in a line of JSON, which stays JSON: a secret ends where its text does, and not before. */
export function maskJson(line: string): string {
  return line.replace(JSON_TEXT, (text) => {
    if (!/:\/\/|[?&;#]/.test(text)) return text;
    const plain = JSON.parse(text) as string;
    const masked = maskUrl(plain);
    return masked === plain ? text : JSON.stringify(masked);
  });
}

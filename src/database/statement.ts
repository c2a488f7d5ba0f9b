export interface Statement {
  readonly sql: string;
  /** For connections that prepare it; undefined when the schema's name is too long to be part of one. */
  readonly name: string | undefined;
}

const MAX_NAME_BYTES = 63;

/**
 * A statement on our tables, its text made once for each schema.
 * @param name of the effect; the schema is added, because a name stands for one text on a connection
 */
export function statement(name: string, build: (schema: string) => string): (schema: string) => Statement {
  const made = new Map<string, Statement>();
  return (schema) => {
    const known = made.get(schema);
    if (known) return known;
    const full = `svc_comm_${name}_${schema}`;
    const fresh = { sql: build(schema), name: Buffer.byteLength(full) <= MAX_NAME_BYTES ? full : undefined };
    made.set(schema, fresh);
    return fresh;
  };
}

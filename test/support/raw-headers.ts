/** Content headers byte by byte, also such as no library would write. */

/** @param headers an encoded table, or with `bare` its entries */
export function header(bodyBytes: number, headers: Buffer, bare = false): Buffer {
  const head = Buffer.alloc(14);
  head.writeUInt16BE(60, 0);
  head.writeBigUInt64BE(BigInt(bodyBytes), 4);
  head.writeUInt16BE(0x2000, 12);
  return Buffer.concat([head, bare ? sized(headers) : headers]);
}

export function field(name: string, type: string, value: Buffer): Buffer {
  const key = Buffer.from(name);
  return Buffer.concat([Buffer.from([key.length]), key, Buffer.from(type, 'latin1'), value]);
}

export const textField = (name: string, text: string): Buffer => field(name, 'S', sized(Buffer.from(text)));

/** A table in a table in a table, each with one entry of this name. */
export function nestedTable(name: string, depth: number): Buffer {
  const head = Buffer.from(`${String.fromCharCode(name.length)}${name}F`, 'latin1');
  const level = head.length + 4;
  const bytes = Buffer.alloc(level * depth);
  for (let n = 0; n < depth; n++) {
    head.copy(bytes, n * level);
    bytes.writeUInt32BE(bytes.length - (n + 1) * level, n * level + head.length);
  }
  return bytes;
}

function sized(bytes: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(bytes.length);
  return Buffer.concat([size, bytes]);
}

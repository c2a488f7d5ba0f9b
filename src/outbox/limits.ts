/** Headers over this, as JSON, are refused before anything is written: the broker's frame holds them all. */
export const MAX_HEADERS_BYTES = 64 * 1024;

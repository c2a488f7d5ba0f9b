/** The id of an element: without blanks, one for one with the names, so that links to it last. */
export const anchor = (...names: readonly string[]): string =>
  names.map((name) => encodeURIComponent(name).replaceAll('%', '~')).join('.');

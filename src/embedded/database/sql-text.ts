/** Parts of regular expressions for texts of SQL: blanks and comments, one of them. */
export const BLANK = String.raw`(?:\s|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*\*/)`;
/** A name as it is written, in quotation marks or without. */
export const NAME = String.raw`(?:"(?:[^"]|"")+"|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)`;

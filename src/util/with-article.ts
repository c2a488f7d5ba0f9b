/** The name of a class as it is said: `an Error`, `a Map`, `a URL`. */
export const withArticle = (name: string): string => `${/^(?:[aeio]|un(?!i))/i.test(name) ? 'an' : 'a'} ${name}`;

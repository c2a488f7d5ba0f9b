// Whoever requires it sees whether ES modules stay what they are.
export {};

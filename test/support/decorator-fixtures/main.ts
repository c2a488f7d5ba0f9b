import { dialect, runCases } from './cases.ts';

console.log(JSON.stringify({ dialect: dialect(), cases: await runCases() }));

// A reporter for vitest: how long each file took, its hooks and imports included, a line of JSON each into the file that
// SVC_COMM_TEST_FILE_TIMES names.
import { appendFileSync } from 'node:fs';
import { relative } from 'node:path';

export default class FileTimes {
  onTestModuleEnd(module) {
    const file = process.env.SVC_COMM_TEST_FILE_TIMES;
    if (!file) return;
    const { collectDuration, prepareDuration, setupDuration, duration } = module.diagnostic();
    const ms = collectDuration + prepareDuration + setupDuration + duration;
    appendFileSync(file, `${JSON.stringify({ name: relative(process.cwd(), module.moduleId), ms: Math.round(ms) })}\n`);
  }
}

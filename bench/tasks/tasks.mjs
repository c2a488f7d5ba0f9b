import { arg, task } from '../../dist/src/task-door.js';

/** As little as a function can do: what is measured is the way to it and back. */
export const double = task({ name: 'double', args: { n: arg.integer() } }, ({ n }) => n * 2);

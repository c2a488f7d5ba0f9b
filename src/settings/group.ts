import { z } from 'zod';
import { described } from './leaf.ts';

/** Settings under one name; left out, each of them has its own default. */
export function group<Shape extends Readonly<Record<string, z.ZodType>>>(shape: Shape) {
  const names = Object.keys(shape).join(', ');
  return described(z.strictObject(shape).prefault({} as never), {
    expected: `an object with ${names}`,
    meaning: '',
    textForm: 'json',
  });
}

const SHAPE =
  /^((?:[+-]\d{6}|\d{4})-\d{2})-(\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d+))?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;

/**
 * The time of an ISO 8601 text; without a zone it is one of this process's zone, a day alone is its beginning there.
 * The engine's own parser takes any text for a time that ends with a number, and days that their months do not have.
 * @returns undefined when it is none
 */
export function timeOfText(text: string): Date | undefined {
  const [, month, day, clock = '00:00', fraction = '0', zone = ''] = SHAPE.exec(text) ?? [];
  if (month === undefined || day === undefined || !hasDay(month, day)) return undefined;
  const seconds = clock.length === 5 ? ':00' : '';
  const time = new Date(`${month}-${day}T${clock}${seconds}.${fraction.slice(0, 3).padEnd(3, '0')}${zoneOf(zone)}`);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

function hasDay(month: string, day: string): boolean {
  const time = new Date(`${month}-${day}T00:00:00.000Z`);
  return !Number.isNaN(time.getTime()) && time.getUTCDate() === Number(day);
}

function zoneOf(zone: string): string {
  if (/^z?$/i.test(zone)) return zone.toUpperCase();
  const digits = zone.slice(1).replace(':', '').padEnd(4, '0');
  return `${zone[0]}${digits.slice(0, 2)}:${digits.slice(2)}`;
}

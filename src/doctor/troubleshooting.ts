import { AREAS, PROBLEMS } from './problems.ts';

/** The tables of docs/troubleshooting.md, one for each area. */
export function troubleshootingTables(): string {
  return AREAS.filter((area) => Object.values(PROBLEMS).some((one) => one.area === area))
    .map((area) => {
      const rows = Object.entries(PROBLEMS)
        .filter(([, one]) => one.area === area)
        .map(([code, { status, meaning, todo }]) => `| \`${code}\` | ${status} | ${meaning} | ${todo} |`);
      return [`### ${area}`, '', '| code | | what it means | what to do |', '| --- | --- | --- | --- |', ...rows].join(
        '\n',
      );
    })
    .join('\n\n');
}

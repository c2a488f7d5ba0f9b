import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { METRICS, type MetricName, prometheusLabel, prometheusName } from '../../src/telemetry/metrics.ts';
import { metricsTable } from '../support/metrics-table.ts';

const page = readFileSync(new URL('../../docs/observability.md', import.meta.url), 'utf8');

describe('docs/observability.md', () => {
  it('has every metric (node scripts/docs.mjs writes them)', () => {
    expect(page).toContain(metricsTable());
  });

  it('names in its alerts only metrics and labels that there are', () => {
    const names = Object.keys(METRICS) as MetricName[];
    const known = new Set([
      ...names.map(prometheusName),
      ...names.flatMap((name) => METRICS[name].attributes.map(prometheusLabel)),
    ]);
    const named = page.slice(page.indexOf('# Prometheus\n'), page.indexOf('## All metrics')).match(/svc_comm_\w+/g);
    expect(named?.length).toBeGreaterThan(5);
    expect(named?.filter((name) => !known.has(name))).toEqual([]);
  });

  it('asks in its alerts for what is not there by job: another service would stand for it', () => {
    const absences = page.match(/absent\(.*?\)/g);
    expect(absences?.length).toBeGreaterThan(1);
    expect(absences?.filter((absence) => !absence.includes('{job="'))).toEqual([]);
  });
});

import { METRICS, type Metric, type MetricName, prometheusName } from '../../src/telemetry/metrics.ts';

/** Every metric as a Markdown table: what docs/observability.md ends with. */
export function metricsTable(): string {
  const rows = (Object.entries(METRICS) as [MetricName, Metric][]).map(
    ([name, { kind, unit, attributes, description }]) => [
      `\`${name}\``,
      `\`${prometheusName(name)}\``,
      kind,
      `\`${unit}\``,
      attributes.map((attribute) => `\`${attribute}\``).join(' '),
      description,
    ],
  );
  const head = ['OpenTelemetry', 'Prometheus', 'kind', 'unit', 'attributes', 'what it is'];
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

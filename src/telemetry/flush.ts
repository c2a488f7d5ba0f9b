import { hasOpenTelemetry } from '../util/open-telemetry.ts';
import { sleep } from '../util/sleep.ts';

interface Flushable {
  forceFlush?: () => Promise<void>;
}

/**
 * Has OpenTelemetry send what it has collected: for processes that end by `process.exit`, which would lose it. Never
 * rejects.
 * @param withinMs a collector that is down must not hold up the end for longer
 */
export async function flushOpenTelemetry(withinMs: number): Promise<void> {
  if (!hasOpenTelemetry()) return;
  const { metrics, trace } = await import('@opentelemetry/api');
  const tracers = trace.getTracerProvider();
  // The API hands out a proxy, of which only the SDK behind it can send.
  const sdk = 'getDelegate' in tracers && typeof tracers.getDelegate === 'function' ? tracers.getDelegate() : tracers;
  const providers: Flushable[] = [sdk, metrics.getMeterProvider() as Flushable];
  const flushed = Promise.allSettled(providers.map(async (provider) => provider.forceFlush?.()));
  // The process ends next: nothing is left of the timer.
  await Promise.race([flushed, sleep(withinMs)]);
}

import { constants } from 'node:os';
import { STOP_SIGNALS } from '../lifecycle/signals.ts';

/**
 * Ends the process at a signal as long as nobody else is there to take it. Without a handler that is what happens anyway,
 * but not to process 1 of a container: to that such a signal is never delivered (pid_namespaces(7)), and a container that is
 * stopped while it starts would live on until it is killed.
 */
export function endAtEarlySignals(): void {
  for (const signal of STOP_SIGNALS) {
    const end = () => {
      if (process.listenerCount(signal) > 1) return;
      process.off(signal, end);
      if (process.pid === 1) process.exit(128 + constants.signals[signal]);
      process.kill(process.pid, signal);
    };
    process.on(signal, end);
  }
}

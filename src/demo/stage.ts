/** What can be seen to happen, in the order of an event's life. */
export const SCENES = [
  'written',
  'rolled back',
  'planned',
  'cancelled',
  'copied',
  'failed',
  'handled',
  'dead-lettered',
] as const;
export type Scene = (typeof SCENES)[number];

/** Where the demo shows what happens, as it happens. What it shows is not what is judged. */
export interface Stage {
  happened(scene: Scene, text: string): void;
  /** Leaves the lines above as they are. */
  close(): void;
}

const COLOURS: Readonly<Record<Scene, number>> = {
  written: 36,
  'rolled back': 33,
  planned: 34,
  cancelled: 33,
  copied: 35,
  failed: 31,
  handled: 32,
  'dead-lettered': 31,
};
const WIDTH = Math.max(...SCENES.map((scene) => scene.length));

export interface StageOptions {
  readonly write: (text: string) => void;
  /** @default Date */
  readonly now?: () => number;
}

/** A line for each, with the seconds since the start: for logs and pipes. */
export function plainStage({ write, now = Date.now }: StageOptions): Stage {
  const from = now();
  return {
    happened: (scene, text) => write(`${seconds(now() - from)}  ${scene.padEnd(WIDTH)}  ${text}\n`),
    close: () => undefined,
  };
}

/** For a terminal: one row for each scene, with its bar, and what happened last in it, drawn over in place. */
export function drawnStage({ write, now = Date.now }: StageOptions): Stage {
  const from = now();
  const rows = new Map(SCENES.map((scene) => [scene, { count: 0, last: '' }]));
  let isDrawn = false;
  const draw = () => {
    const up = isDrawn ? `\u001b[${SCENES.length}A` : '';
    isDrawn = true;
    const lines = SCENES.map((scene) => {
      const { count, last } = rows.get(scene) ?? { count: 0, last: '' };
      const bar = '█'.repeat(Math.min(count, 60)).padEnd(60, '·');
      return `\u001b[2K\u001b[${COLOURS[scene]}m${scene.padEnd(WIDTH)}  ${bar}\u001b[0m ${String(count).padStart(3)}  \u001b[2m${last}\u001b[0m`;
    });
    write(`${up}${lines.join('\n')}\n`);
  };
  return {
    happened(scene, text) {
      const row = rows.get(scene);
      if (row) {
        row.count += 1;
        row.last = `${seconds(now() - from).trim()} ${text}`.slice(0, 60);
      }
      draw();
    },
    close: draw,
  };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1).padStart(5)}s`;

/** A curve: how a figure grows with a size, both on logarithmic axes. */
export interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [size: number, value: number])[];
}

export interface Panel {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly curves: readonly Curve[];
}

const [WIDTH, HEIGHT] = [360, 270];
const BOX = { left: 60, top: 34, right: 16, bottom: 62 };
const COLOURS = ['#0b6e4f', '#c8553d', '#28536b', '#8f6f00'];
const COLUMNS = 2;

/** Panels side by side, each with its axes, curves and names; nothing in it but text and lines. */
export function drawing(panels: readonly Panel[]): string {
  const height = Math.ceil(panels.length / COLUMNS) * HEIGHT;
  const drawn = panels.map((panel, i) => {
    const [x, y] = [(i % COLUMNS) * WIDTH, Math.floor(i / COLUMNS) * HEIGHT];
    return `<g transform="translate(${x} ${y})">\n${drawPanel(panel)}\n</g>`;
  });
  const size = `viewBox="0 0 ${COLUMNS * WIDTH} ${height}" width="${COLUMNS * WIDTH}" height="${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="11" fill="#222">
<title>What one costs as there are more</title>
<rect width="100%" height="100%" fill="#fff"/>
${drawn.join('\n')}
</svg>
`;
}

function drawPanel({ title, xLabel, yLabel, curves }: Panel): string {
  const all = curves.flatMap(({ points }) => points);
  const x = axis(all.map(([size]) => size));
  const y = axis(all.map(([, value]) => value));
  const [right, bottom] = [WIDTH - BOX.right, HEIGHT - BOX.bottom];
  const atX = (value: number): number => round(BOX.left + x.share(value) * (right - BOX.left));
  const atY = (value: number): number => round(bottom - y.share(value) * (bottom - BOX.top));
  const parts = [
    text(WIDTH / 2, 18, title, 'middle', ' font-weight="bold"'),
    text(WIDTH / 2, bottom + 32, xLabel, 'middle'),
    text(BOX.left - 44, BOX.top - 8, yLabel, 'start'),
    ...x.ticks.flatMap((tick) => [
      line(atX(tick), BOX.top, atX(tick), bottom, '#ddd'),
      text(atX(tick), bottom + 15, short(tick), 'middle'),
    ]),
    ...y.ticks.flatMap((tick) => [
      line(BOX.left, atY(tick), right, atY(tick), '#ddd'),
      text(BOX.left - 6, atY(tick) + 4, short(tick), 'end'),
    ]),
    ...curves.flatMap(({ name, points }, i) => {
      const colour = COLOURS[i % COLOURS.length] ?? '#222';
      const places = points.map(([size, value]) => `${atX(size)},${atY(value)}`);
      return [
        `<polyline points="${places.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...points.map(([size, value]) => `<circle cx="${atX(size)}" cy="${atY(value)}" r="3" fill="${colour}"/>`),
        text(BOX.left + i * 150, bottom + 50, `● ${name}`, 'start', ` fill="${colour}"`),
      ];
    }),
  ];
  return parts.join('\n');
}

/** Whole powers of ten around the values. */
function axis(values: readonly number[]): { ticks: readonly number[]; share(value: number): number } {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  return {
    ticks: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)),
    share: (value) => (Math.log10(value) - low) / (high - low),
  };
}

const round = (value: number): number => Math.round(value * 10) / 10;

function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`;
  if (value >= 1e3) return `${value / 1e3}k`;
  return String(Number(value.toPrecision(3)));
}

const line = (x1: number, y1: number, x2: number, y2: number, stroke: string): string =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${stroke}"/>`;

const text = (x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end', more = ''): string =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}"${more}>${escaped(content)}</text>`;

const escaped = (content: string): string => content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

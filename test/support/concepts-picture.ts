/** Draws docs/concepts.txt: boxes in columns and rows, arrows between them. */
interface Box {
  readonly id: string;
  readonly column: number;
  readonly row: number;
  readonly lines: readonly string[];
}
interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly text: string;
}

const [WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN] = [190, 64, 90, 70, 20];
const LINE_CHARS = 26;

export function conceptsPicture(source: string): string {
  const boxes: Box[] = [];
  const arrows: Arrow[] = [];
  for (const line of source.split('\n')) {
    const box = /^box (\w+) *\| *(\d+) *\| *(\d+) *\| *(.+)$/.exec(line);
    const arrow = /^arrow (\w+) -> (\w+) *\| *(.+)$/.exec(line);
    if (box) {
      const [, id = '', column, row, text = ''] = box;
      boxes.push({ id, column: Number(column), row: Number(row), lines: wrapped(text) });
    } else if (arrow) arrows.push({ from: arrow[1] ?? '', to: arrow[2] ?? '', text: arrow[3] ?? '' });
    else if (line !== '' && !line.startsWith('#'))
      throw new Error(`docs/concepts.txt: not a box, not an arrow: ${line}`);
  }
  const find = (id: string): Box => {
    const box = boxes.find((each) => each.id === id);
    if (!box) throw new Error(`docs/concepts.txt: no box ${id}`);
    return box;
  };
  const width = MARGIN * 2 + Math.max(...boxes.map(({ column }) => left(column) + WIDTH - MARGIN));
  const height = MARGIN * 2 + Math.max(...boxes.map(({ row }) => top(row) + HEIGHT - MARGIN));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13">`,
    '<title>From a transaction to the effect of another service’s handler</title>',
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#456"/></marker></defs>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...arrows.map(({ from, to, text }) => drawnArrow(find(from), find(to), text)),
    ...boxes.map(drawnBox),
    '</svg>',
    '',
  ].join('\n');
}

const left = (column: number): number => MARGIN + column * (WIDTH + GAP_X);
const top = (row: number): number => MARGIN + row * (HEIGHT + GAP_Y);

function drawnBox({ column, row, lines }: Box): string {
  const [x, y] = [left(column), top(row)];
  const first = y + HEIGHT / 2 - (lines.length - 1) * 8 + 4;
  const text = lines.map((line, n) => `<tspan x="${x + WIDTH / 2}" y="${first + n * 16}">${escaped(line)}</tspan>`);
  return `<rect x="${x}" y="${y}" width="${WIDTH}" height="${HEIGHT}" rx="8" fill="#eef4fb" stroke="#456"/><text text-anchor="middle" fill="#123">${text.join('')}</text>`;
}

/** Straight, from the edge that faces the other box; boxes of one row side to side, else top to bottom. */
function drawnArrow(from: Box, to: Box, text: string): string {
  const centre = ({ column, row }: Box) => ({ x: left(column) + WIDTH / 2, y: top(row) + HEIGHT / 2 });
  const [a, b] = [centre(from), centre(to)];
  const isLevel = from.row === to.row;
  const sign = isLevel ? Math.sign(b.x - a.x) : Math.sign(b.y - a.y);
  // Two arrows between the same columns would lie on each other.
  const shift = !isLevel && sign < 0 ? 24 : 0;
  const [x1, y1] = isLevel ? [a.x + (sign * WIDTH) / 2, a.y] : [a.x + shift, a.y + (sign * HEIGHT) / 2];
  const [x2, y2] = isLevel ? [b.x - (sign * WIDTH) / 2, b.y] : [b.x + shift, b.y - (sign * HEIGHT) / 2];
  const words = wrapped(text, 13);
  // On the side that a slanting arrow leaves free.
  const isLeftward = !isLevel && to.column < from.column;
  const tx = (x1 + x2) / 2 + (isLevel ? 0 : isLeftward ? -14 : 6);
  const ty = (y1 + y2) / 2 - (isLevel ? 6 + (words.length - 1) * 14 : 0);
  const anchor = isLevel ? 'middle' : isLeftward ? 'end' : 'start';
  const lines = words.map((line, n) => `<tspan x="${tx}" y="${ty + n * 14}">${escaped(line)}</tspan>`).join('');
  return `<path d="M${x1} ${y1}L${x2} ${y2}" stroke="#456" fill="none" marker-end="url(#tip)"/><text fill="#456" font-size="11" text-anchor="${anchor}">${lines}</text>`;
}

function wrapped(text: string, most = LINE_CHARS): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < most) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

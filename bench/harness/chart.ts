/** A bar chart with a logarithmic axis, as SVG. */

const WIDTH = 960;
const HEIGHT = 360;
const LEFT = 56;
const TOP = 44;
const BOTTOM = 36;
const COLOURS = ['#2f6fde', '#d9822b', '#8a8f98', '#3c9a5f'];

const text = (x: number, y: number, content: string, extra = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${extra}>${content}</text>`;

export interface Chart {
  readonly title: string;
  readonly peers: readonly string[];
  readonly groups: readonly { readonly name: string; readonly values: readonly number[] }[];
}

export function barChart({ title, peers, groups }: Chart): string {
  const values = groups.flatMap((group) => group.values).filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.ceil(Math.log10(Math.max(...values)));
  const floor = HEIGHT - BOTTOM;
  const y = (value: number): number => floor - ((Math.log10(value) - low) / (high - low)) * (floor - TOP);
  const parts: string[] = [text(LEFT, 18, title, 'font-weight="bold"')];
  for (let power = low; power <= high; power++) {
    const at = y(10 ** power);
    parts.push(`<line x1="${LEFT}" x2="${WIDTH}" y1="${at}" y2="${at}" stroke="#ccc"/>`);
    parts.push(text(LEFT - 6, at + 4, String(10 ** power), 'text-anchor="end"'));
  }
  peers.forEach((peer, at) => {
    const x = LEFT + at * 200;
    parts.push(`<rect x="${x}" y="26" width="10" height="10" fill="${COLOURS[at]}"/>`, text(x + 14, 35, peer));
  });
  const group = (WIDTH - LEFT) / groups.length;
  const bar = (group * 0.8) / peers.length;
  groups.forEach(({ name, values: heights }, index) => {
    const x = LEFT + index * group + group * 0.1;
    heights.forEach((value, at) => {
      const top = y(value);
      parts.push(
        `<rect x="${(x + at * bar).toFixed(1)}" y="${top.toFixed(1)}" width="${bar.toFixed(1)}" height="${(floor - top).toFixed(1)}" ` +
          `fill="${COLOURS[at]}"><title>${name}, ${peers[at]}: ${value.toFixed(0)}</title></rect>`,
      );
    });
    parts.push(text(x + group * 0.4, HEIGHT - 14, name, 'text-anchor="middle"'));
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">` +
    `<rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>\n`
  );
}

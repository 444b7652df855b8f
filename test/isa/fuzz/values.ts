/** Register and memory contents worth trying. */
import type { Random } from '../support/random.ts';

const SINGLES = [
  0, 1, 0x7fffff, 0x800000, 0x800001, 0x3f800000, 0x3f7fffff, 0x40000000, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fc01234,
  0x4f000000, 0x4effffff, 0x5f000000, 0x3eaaaaab, 0x3fc00000, 0x4b7fffff, 0x33800000, 0x47000000, 0x477fe000, 0x387fc000,
]; // prettier-ignore
/** High and low halves. */
const DOUBLES = [
  [0, 0], [0, 1], [0xfffff, 0xffffffff], [0x100000, 0], [0x100000, 1], [0x3ff00000, 0], [0x3fefffff, 0xffffffff],
  [0x7fefffff, 0xffffffff], [0x7ff00000, 0], [0x7ff00000, 1], [0x7ff80000, 0x1234], [0x41dfffff, 0xffc00000],
  [0x41e00000, 0], [0x43e00000, 0], [0x3fd55555, 0x55555555], [0x3ff80000, 0], [0x36a00000, 0],
  [0x380fffff, 0xffffffff], [0x47efffff, 0xefffffff], [0x3810_0000, 0],
] as const; // prettier-ignore
/** Significand halves, exponent. */
const EXTENDED = [
  [0, 0, 0], [0x80000000, 0, 0x3fff], [0x80000000, 0, 0x7fff], [0xc0000000, 0, 0x7fff], [0xc0000000, 5, 0x7fff],
  [0x80000000, 5, 0x7fff], [0, 1, 0], [0x80000000, 0, 0], [0x40000000, 0, 0x3fff], [0, 0, 0x7fff], [0x80000000, 0, 1],
  [0xffffffff, 0xffffffff, 0x7ffe], [0xffffffff, 0xffffffff, 0x401e], [0, 5, 0x3fff],
] as const; // prettier-ignore
const EDGES = [7, 8, 15, 16, 31, 32, 63, 64];

export function putSingle(random: Random, view: DataView, at: number): void {
  const sign = random.next() & 0x80000000;
  if (random.oneIn(3)) return view.setUint32(at, random.pick(SINGLES) | sign, true);
  const exponent = random.oneIn(8) ? random.below(256) : 117 + random.below(40);
  view.setUint32(at, (random.next() & (random.oneIn(2) ? 0x7ff000 : 0x7fffff)) | (exponent << 23) | sign, true);
}

export function putDouble(random: Random, view: DataView, at: number): void {
  const sign = random.next() & 0x80000000;
  let [high, low] = random.pick(DOUBLES) as readonly [number, number];
  if (!random.oneIn(3)) {
    const exponent = random.oneIn(8) ? random.below(2048) : 990 + random.below(70);
    high = (exponent << 20) | (random.next() & 0xfffff);
    low = random.oneIn(2) ? 0 : random.next();
  }
  view.setUint32(at, low, true);
  view.setUint32(at + 4, high | sign, true);
}

export function putExtended(random: Random, view: DataView, at: number): void {
  let [high, low, exponent] = random.pick(EXTENDED) as readonly [number, number, number];
  if (!random.oneIn(3)) {
    high = random.next() | 0x80000000;
    low = random.oneIn(3) ? 0 : random.next();
    exponent = random.oneIn(10) ? random.below(0x8000) : 0x3fff - 40 + random.below(80);
  }
  view.setUint32(at, low, true);
  view.setUint32(at + 4, high, true);
  view.setUint16(at + 8, exponent | (random.oneIn(2) ? 0x8000 : 0), true);
}

/** Eight bytes: edges of every operand size, small numbers, noise. */
export function putInteger(random: Random, view: DataView, at: number): void {
  let [low, high] = [random.next(), random.next()];
  const kind = random.below(9);
  if (kind < 2) [low, high] = [random.below(70), 0];
  else if (kind < 6) {
    const edge = random.pick(EDGES);
    const by = random.below(5) - 2;
    const [from, above] = edge < 32 ? [2 ** edge, 0] : [0, edge === 64 ? 0 : 2 ** (edge - 32)];
    low = (from + by) >>> 0;
    high = (above + (from + by < 0 ? -1 : 0)) >>> 0;
  }
  view.setUint32(at, low, true);
  view.setUint32(at + 4, high, true);
}

/** What a piece of memory or a vector register holds. */
export const enum Content {
  Integers,
  Singles,
  Doubles,
  Halves,
  Strings,
  Extended,
  Noise,
}
export const contents = (random: Random): Content => random.below(5) as Content;

/** Fills whole multiples of 16 bytes. */
export function fill(random: Random, view: DataView, from: number, bytes: number, content: Content): void {
  for (let at = from; at < from + bytes; at += 16)
    switch (content) {
      case Content.Singles:
        for (let i = 0; i < 16; i += 4) putSingle(random, view, at + i);
        break;
      case Content.Doubles:
        putDouble(random, view, at);
        putDouble(random, view, at + 8);
        break;
      case Content.Strings:
        for (let i = 0; i < 16; i++) view.setUint8(at + i, random.oneIn(12) ? 0 : random.pick(CHARACTERS));
        break;
      case Content.Extended:
        putExtended(random, view, at);
        break;
      case Content.Halves:
        for (let i = 0; i < 16; i += 2)
          view.setUint16(at + i, random.oneIn(3) ? random.pick(HALVES) : random.next(), true);
        break;
      case Content.Noise:
        for (let i = 0; i < 16; i += 4) view.setUint32(at + i, random.next(), true);
        break;
      default:
        putInteger(random, view, at);
        putInteger(random, view, at + 8);
    }
}
const CHARACTERS = [1, 2, 3, 0x7f, 0x80, 0xff];
const HALVES = [
  0, 1, 0x3ff, 0x400, 0x3c00, 0x3bff, 0x7bff, 0x7c00, 0x7c01, 0x7e00, 0x8000, 0x8001, 0xfbff, 0xfc00, 0xfe01,
];

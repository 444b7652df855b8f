/** The machine's one source of chance: xorshift128+ from options.seed, in the state graph. */
import type { Linux } from './state.ts';

const MASK = 0xffffffffffffffffn;

/** Two non-zero words from a seed (splitmix64). */
export function seedRandom(seed: number): [bigint, bigint] {
  let state = BigInt.asUintN(64, BigInt(Math.trunc(seed)) + 0x9e3779b97f4a7c15n);
  const next = (): bigint => {
    state = (state + 0x9e3779b97f4a7c15n) & MASK;
    let z = state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
    return z ^ (z >> 31n);
  };
  return [next() | 1n, next()];
}

export function random64(linux: Linux): bigint {
  const words = linux.state.random;
  const [first, b] = words;
  const a = (first ^ (first << 23n)) & MASK;
  words[0] = b;
  words[1] = a ^ b ^ (a >> 17n) ^ (b >> 26n);
  return (words[1] + b) & MASK;
}

/** An integer in [0, limit). */
export function randomBelow(linux: Linux, limit: number): number {
  return Number(random64(linux) % BigInt(limit));
}

export function randomBytes(linux: Linux, count: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(count / 8) * 8);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 8) view.setBigUint64(at, random64(linux), true);
  return bytes.subarray(0, count);
}

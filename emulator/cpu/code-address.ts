/**
 * Linear addresses of code as numbers: what the driver computes and compares with. Sign-extended, those within 2^52 of 0 are exact: all 48-bit ones, and
 * most of what compilers and kernels use of 57 bits (LA57). The others are named by their region of 128 TB: the first ones to be met get the
 * numbers beyond.
 */
import type { LinearMemory } from './state.ts';
import { linearBits } from '../mmu/modes.ts';

const TWO_32 = 0x1_0000_0000;
/** Bytes of a region: bits 63:47 of its addresses are equal. */
const REGION_SHIFT = 47;
const REGION = 2 ** REGION_SHIFT;
/** Bits 46:32, in the high half of an address. */
const INSIDE = 0x7fff;
/** Addresses below this and not below its negative are their own numbers. */
const PLAIN = 2 ** 52;
const PLAIN_REGIONS = PLAIN / REGION;
/** Numbers stay exact below 2^53. */
const REGIONS = 2 * PLAIN_REGIONS;

/** Regions (bits 63:47, signed) by the number of REGION bytes that names them, from -REGIONS. */
const regionOfName = new Int16Array(2 * REGIONS);
const nameOfRegion = new Map<number, number>();
/** Names come in pairs, so that code that runs on into the next region finds its number one higher. */
const FREE_NAMES = Array.from({ length: PLAIN_REGIONS / 2 }, (_, pair) => [
  PLAIN_REGIONS + 2 * pair,
  -REGIONS + 2 * pair,
]).flat();

/** Most regions of code beyond the plain addresses. */
export const MOST_FAR_REGIONS = FREE_NAMES.length;

/** Undefined when all names are given away. */
function nameRegion(region: number): number | undefined {
  const known = nameOfRegion.get(region);
  if (known !== undefined) return known;
  const name = FREE_NAMES[nameOfRegion.size];
  if (name === undefined) return undefined;
  nameOfRegion.set(region, name);
  regionOfName[name + REGIONS] = region;
  regionOfName[name + 1 + REGIONS] = region + 1;
  return name;
}

function fromHalves(high: number, low: number): number | undefined {
  const plain = high * TWO_32 + low;
  if (plain < PLAIN && plain >= -PLAIN) return plain;
  const name = nameRegion(high >> 15);
  return name === undefined ? undefined : name * REGION + (high & INSIDE) * TWO_32 + low;
}

/** Bits 63:32, signed. Of NaN those of an address that is never canonical. */
export function highHalf(gva: number): number {
  const high = Math.floor(gva / TWO_32);
  if (gva < PLAIN && gva >= -PLAIN) return high;
  if (Number.isNaN(gva)) return -0x8000_0000;
  return (regionOfName[Math.floor(gva / REGION) + REGIONS]! << 15) | (high & INSIDE);
}

/** NaN, equal to no address, if code in so many regions has no name. */
export function readGva(mem: LinearMemory, at: number): number {
  return fromHalves(mem.u32[(at + 4) >>> 2]! | 0, mem.u32[at >>> 2]!) ?? NaN;
}
export function writeGva(mem: LinearMemory, at: number, gva: number): void {
  mem.u32[at >>> 2] = gva;
  mem.u32[(at + 4) >>> 2] = highHalf(gva);
}
export function toNumber(gva: bigint): number {
  return fromHalves(Number(BigInt.asIntN(32, gva >> 32n)), Number(BigInt.asUintN(32, gva))) ?? NaN;
}
export function toBigint(gva: number): bigint {
  return BigInt.asUintN(64, (BigInt(highHalf(gva)) << 32n) | BigInt(gva >>> 0));
}

/** Whether the u64 at `at` is canonical in the present context. */
export function isCanonical(mem: LinearMemory, at: number): boolean {
  const high = mem.u32[(at + 4) >>> 2]! | 0;
  return (high << 16) >> 16 === high || (linearBits(mem) === 57 && (high << 7) >> 7 === high);
}

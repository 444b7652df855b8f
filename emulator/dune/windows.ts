/**
 * The three windows through which a Dune guest sees its Linux process: the low part of the address space at its own
 * address, and below the top of the physical address space the mmap area and the main stack.
 *
 * GPA:  0 ........ PE-64G | PE-64G ....... PE-1G | PE-1G .. PE        (PE = 2^MAXPHYADDR)
 * HVA:  0 ........ PE-64G | base_map ....  +63G  | base_stack .. +1G
 */

export const GIGABYTE = 1n << 30n;
/** Bytes of the stack window. */
const STACK_WINDOW = GIGABYTE;
/** Bytes of the mmap window. */
export const MAP_WINDOW = 63n * GIGABYTE;

export type WindowName = 'identity' | 'map' | 'stack';

/** struct dune_layout, as GET_LAYOUT returns it. */
export interface Layout {
  /** One past the highest GPA: 2^MAXPHYADDR. */
  readonly physLimit: bigint;
  /** HVA of the first byte of the mmap window. */
  readonly baseMap: bigint;
  /** HVA of the first byte of the stack window. */
  readonly baseStack: bigint;
  /** In the order in which an HVA is looked up: where windows overlap in HVA, the stack window wins. */
  readonly windows: readonly Window[];
  /** First GPA, first HVA and bytes of each of them. */
  readonly numbers: Float64Array;
}

export interface Window {
  readonly name: WindowName;
  readonly gpa: bigint;
  readonly hva: bigint;
  readonly bytes: bigint;
}

/** Rounds up to 1 GB. */
function alignUp(address: bigint): bigint {
  return (address + GIGABYTE - 1n) & ~(GIGABYTE - 1n);
}

/** @param mmapBase, startStack of the process (mm_struct) */
export function layoutOf(physBits: number, mmapBase: number, startStack: number): Layout {
  const physLimit = 1n << BigInt(physBits);
  const baseMap = alignUp(BigInt(mmapBase)) - MAP_WINDOW;
  const baseStack = alignUp(BigInt(startStack)) - STACK_WINDOW;
  const identity = physLimit - MAP_WINDOW - STACK_WINDOW;
  const windows: readonly Window[] = [
    { name: 'stack', gpa: physLimit - STACK_WINDOW, hva: baseStack, bytes: STACK_WINDOW },
    { name: 'map', gpa: identity, hva: baseMap, bytes: MAP_WINDOW },
    { name: 'identity', gpa: 0n, hva: 0n, bytes: identity > 0n ? identity : 0n },
  ];
  const numbers = Float64Array.from(windows.flatMap(({ gpa, hva, bytes }) => [gpa, hva, bytes].map(Number)));
  return { physLimit, baseMap, baseStack, windows, numbers };
}

/** As `gpaToHva` on numbers, -1 for none: asked at every EPT violation. */
export function hvaOfGpa({ numbers }: Layout, gpa: number): number {
  for (let at = 0; at < numbers.length; at += 3) {
    const inside = gpa - numbers[at]!;
    if (inside >= 0 && inside < numbers[at + 2]!) return numbers[at + 1]! + inside;
  }
  return -1;
}

/** The window on numbers of a GPA that lies in one. */
export function windowAt(
  layout: Layout,
  gpa: number,
): { readonly gpa: number; readonly hva: number; readonly bytes: number } {
  const { gpa: first, hva, bytes } = windowOfGpa(layout, BigInt(gpa))!;
  return { gpa: Number(first), hva: Number(hva), bytes: Number(bytes) };
}

/** The window a GPA lies in; undefined at or above 2^MAXPHYADDR. */
export function windowOfGpa(layout: Layout, gpa: bigint): Window | undefined {
  return layout.windows.find((window) => gpa >= window.gpa && gpa < window.gpa + window.bytes);
}

export function gpaToHva(layout: Layout, gpa: bigint): bigint | undefined {
  const window = windowOfGpa(layout, gpa);
  return window && gpa - window.gpa + window.hva;
}

/** The window an HVA is mapped through: one that begins at or below it decides, also when the address lies beyond its end. */
export function windowOfHva(layout: Layout, hva: bigint): Window | undefined {
  const window = layout.windows.find((candidate) => hva >= candidate.hva);
  return window && hva < window.hva + window.bytes ? window : undefined;
}

export function hvaToGpa(layout: Layout, hva: bigint): bigint | undefined {
  const window = windowOfHva(layout, hva);
  return window && hva - window.hva + window.gpa;
}

/** The GPA ranges behind [start, end) of the process, for invalidation: every window that may map a part of it. */
export function gpaRanges(layout: Layout, start: bigint, end: bigint): { start: bigint; end: bigint }[] {
  const ranges: { start: bigint; end: bigint }[] = [];
  for (const window of layout.windows) {
    const from = start > window.hva ? start : window.hva;
    const to = end < window.hva + window.bytes ? end : window.hva + window.bytes;
    if (from < to) ranges.push({ start: from - window.hva + window.gpa, end: to - window.hva + window.gpa });
  }
  return ranges;
}

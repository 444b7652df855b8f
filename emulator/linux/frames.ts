/**
 * Frames of host physical memory, with reference counts (copy-on-write, page cache). Plain data.
 * Lowest free frame first, so that allocation is a function of state alone. A 2 MB page is 512 frames of which the
 * first carries the count.
 */
import type { PhysicalMemory } from '../mmu/physical.ts';

export const PAGE = 4096;
export const HUGE_PAGE = 0x200000;
const FRAMES_PER_BLOCK = 512;

export interface FrameState {
  /** References a frame; 0 is free. Indexed by PFN. */
  readonly references: Uint16Array;
  /** Used frames in each 2 MB block. */
  readonly used: Uint16Array;
  /** 1 for frames written since the machine began: the others are still zero. */
  readonly dirtied: Uint8Array;
  /** No frame below this PFN is free. */
  lowest: number;
  free: number;
  /** 1 for a chunk of SAVED frames that has changed since `latest`, which shares the others with what came before it. */
  readonly changed: Uint8Array;
  latest: FrameImages | undefined;
}

/** A `FrameState` in a snapshot: what it knows of each frame in chunks of SAVED, which are shared with the snapshot before where nothing has changed. */
export interface FrameImages {
  readonly references: readonly Uint16Array[];
  readonly dirtied: readonly Uint8Array[];
  readonly used: Uint16Array;
  readonly lowest: number;
  readonly free: number;
}
const SAVED_SHIFT = 12;
const SAVED = 1 << SAVED_SHIFT;

/** Frame 0 is never handed out, so that 0 can mean "none". */
export function createFrames(bytesOfRam: number): FrameState {
  const count = Math.floor(bytesOfRam / PAGE);
  const state: FrameState = {
    references: new Uint16Array(count),
    used: new Uint16Array(Math.ceil(count / FRAMES_PER_BLOCK)),
    dirtied: new Uint8Array(count),
    lowest: 1,
    free: count - 1,
    changed: new Uint8Array(Math.ceil(count / SAVED)),
    latest: undefined,
  };
  state.references[0] = 1;
  state.used[0] = 1;
  return state;
}

export function saveFrames(frames: FrameState): FrameImages {
  const { references, dirtied, used, lowest, free, changed, latest } = frames;
  const chunk = <T extends Uint8Array | Uint16Array>(index: number, known: T | undefined, whole: T): T =>
    known && changed[index] === 0 ? known : (whole.slice(index * SAVED, (index + 1) * SAVED) as T);
  const images: FrameImages = {
    references: Array.from(changed, (_, index) => chunk(index, latest?.references[index], references)),
    dirtied: Array.from(changed, (_, index) => chunk(index, latest?.dirtied[index], dirtied)),
    used: used.slice(),
    lowest,
    free,
  };
  changed.fill(0);
  frames.latest = images;
  return images;
}

/** @param bytesOfRam as they were */
export function restoreFrames(images: FrameImages, bytesOfRam: number): FrameState {
  const frames = createFrames(bytesOfRam);
  images.references.forEach((chunk, index) => frames.references.set(chunk, index * SAVED));
  images.dirtied.forEach((chunk, index) => frames.dirtied.set(chunk, index * SAVED));
  frames.used.set(images.used);
  frames.lowest = images.lowest;
  frames.free = images.free;
  frames.latest = images;
  return frames;
}

/** PFN of the free frame that is handed out next; 0 if there is none. */
export function firstFree(frames: FrameState): number {
  const { references, used } = frames;
  for (let pfn = frames.lowest; pfn < references.length;) {
    if (used[pfn >> 9] === FRAMES_PER_BLOCK) pfn = ((pfn >> 9) + 1) << 9;
    else if (references[pfn] === 0) return pfn;
    else pfn++;
  }
  return 0;
}

/** HPA of a zeroed frame with one reference, or -1. */
export function allocateFrame(frames: FrameState, memory: PhysicalMemory): number {
  const pfn = firstFree(frames);
  if (pfn === 0) {
    frames.lowest = frames.references.length;
    return -1;
  }
  zero(frames, memory, pfn, 1);
  takeFirst(frames, pfn);
  return pfn * PAGE;
}

/** The first free frame gets one reference. Whoever takes it has emptied it, if it `isDirtied`. */
export function takeFirst(frames: FrameState, pfn: number): void {
  take(frames, pfn);
  frames.dirtied[pfn] = 1;
  frames.lowest = pfn + 1;
}
/** How many frames from a free one on, at most `most`, are free and still zero. */
export function freshRun({ references, dirtied }: FrameState, first: number, most: number): number {
  const end = Math.min(first + most, references.length);
  let pfn = first;
  while (pfn < end && references[pfn] === 0 && dirtied[pfn] === 0) pfn++;
  return pfn - first;
}
/** Whether a frame may hold other things than zeros. */
export function isDirtied(frames: FrameState, pfn: number): boolean {
  return frames.dirtied[pfn] !== 0;
}

/** HPA of a zeroed, aligned 2 MB page with one reference, or -1. */
export function allocateHuge(frames: FrameState, memory: PhysicalMemory): number {
  const blocks = Math.floor(frames.references.length / FRAMES_PER_BLOCK);
  for (let block = frames.lowest >> 9; block < blocks; block++) {
    if (frames.used[block] !== 0) continue;
    const first = block * FRAMES_PER_BLOCK;
    for (let pfn = first; pfn < first + FRAMES_PER_BLOCK; pfn++) take(frames, pfn);
    zero(frames, memory, first, FRAMES_PER_BLOCK);
    return first * PAGE;
  }
  return -1;
}

/** Wholly free 2 MB blocks. */
export function freeHugePages(frames: FrameState): number {
  const whole = Math.floor(frames.references.length / FRAMES_PER_BLOCK);
  let count = 0;
  for (let block = 0; block < whole; block++) if (frames.used[block] === 0) count++;
  return count;
}

export function reference(frames: FrameState, hpa: number): void {
  frames.references[hpa / PAGE]!++;
  change(frames, hpa / PAGE);
}
export function references(frames: FrameState, hpa: number): number {
  return frames.references[hpa / PAGE]!;
}

/** Drops one reference; the last one frees the frame. */
export function release(frames: FrameState, hpa: number): void {
  const pfn = hpa / PAGE;
  if (frames.references[pfn] === 0) throw new Error(`frame ${pfn} is released but was free`);
  change(frames, pfn);
  if (--frames.references[pfn]! === 0) give(frames, pfn);
}
export function releaseHuge(frames: FrameState, hpa: number): void {
  const first = hpa / PAGE;
  change(frames, first);
  if (--frames.references[first]! !== 0) return;
  give(frames, first);
  for (let pfn = first + 1; pfn < first + FRAMES_PER_BLOCK; pfn++) {
    frames.references[pfn] = 0;
    give(frames, pfn);
  }
}

function change(frames: FrameState, pfn: number): void {
  frames.changed[pfn >>> SAVED_SHIFT] = 1;
}
function take(frames: FrameState, pfn: number): void {
  change(frames, pfn);
  frames.references[pfn] = 1;
  frames.used[pfn >> 9]!++;
  frames.free--;
}
function give(frames: FrameState, pfn: number): void {
  frames.used[pfn >> 9]!--;
  frames.free++;
  if (pfn < frames.lowest) frames.lowest = pfn;
}
function zero(frames: FrameState, memory: PhysicalMemory, pfn: number, count: number): void {
  let reused = false;
  for (let at = pfn; at < pfn + count; at++) {
    if (frames.dirtied[at]) reused = true;
    frames.dirtied[at] = 1;
  }
  if (reused) memory.fill(pfn * PAGE, count * PAGE);
}

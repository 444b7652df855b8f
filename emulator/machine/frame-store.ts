/**
 * Contents of guest frames at snapshots. A snapshot shares with the one before it every frame that was not written in between (FRAME_DIRTY), and every
 * table of CHUNK frames that holds no such frame: it costs what was written since, however much memory there is.
 */
import type { CoreExports } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import type { PhysicalMemory } from '../mmu/physical.ts';
import { PAGE_SIZE } from '../mmu/physical.ts';

/** Frame contents; undefined = all zero. */
type Chunk = readonly (Uint8Array | undefined)[];
/** Contents by frame number in tables of CHUNK; undefined = all zero. */
export type FrameImages = readonly (Chunk | undefined)[];

/** Frames of a table. */
const CHUNK = 256;
const ZERO: Chunk = new Array<undefined>(CHUNK).fill(undefined);

export class FrameStore {
  /** Memory equals this except for frames marked dirty. */
  #base: FrameImages;
  readonly #frames: number;

  constructor(
    readonly memory: PhysicalMemory,
    readonly core: Pick<CoreExports, 'nextDirty'>,
  ) {
    this.#frames = memory.size / PAGE_SIZE;
    this.#base = new Array<undefined>(Math.ceil(this.#frames / CHUNK)).fill(undefined);
  }

  /** Frames written since the last `save` or `load`, in order. */
  #dirty(): number[] {
    const dirty: number[] = [];
    const end = this.#frames;
    for (let pfn = this.core.nextDirty(0, end); pfn >= 0; pfn = this.core.nextDirty(pfn + 1, end)) dirty.push(pfn);
    return dirty;
  }

  #clean(pfn: number): void {
    this.memory.mem.bytes[L.FRAME_FLAGS + pfn]! &= ~L.FRAME_DIRTY;
  }

  /** The caller must drop every write tag of the TLB afterwards, or later writes go unseen. */
  save(): FrameImages {
    const dirty = this.#dirty();
    if (dirty.length === 0) return this.#base;
    const images = this.#base.slice();
    let index = -1;
    let chunk: (Uint8Array | undefined)[] = [];
    for (const pfn of dirty) {
      if (Math.floor(pfn / CHUNK) !== index) {
        index = Math.floor(pfn / CHUNK);
        images[index] = chunk = (images[index] ?? ZERO).slice();
      }
      chunk[pfn % CHUNK] = this.memory.slice(pfn * PAGE_SIZE, PAGE_SIZE).slice();
      this.#clean(pfn);
    }
    this.#base = images;
    return images;
  }

  /** Makes memory equal to the images; `changed` is told every frame it writes. Write tags must be dropped afterwards. */
  load(images: FrameImages, changed: (pfn: number) => void): void {
    const different = new Set(this.#dirty());
    for (let index = 0; index < images.length; index++) {
      const to = images[index] ?? ZERO;
      const from = this.#base[index] ?? ZERO;
      if (to === from) continue;
      for (let at = 0; at < CHUNK; at++) if (to[at] !== from[at]) different.add(index * CHUNK + at);
    }
    for (const pfn of [...different].sort((a, b) => a - b)) {
      const frame = this.memory.slice(pfn * PAGE_SIZE, PAGE_SIZE);
      const image = images[Math.floor(pfn / CHUNK)]?.[pfn % CHUNK];
      if (image) frame.set(image);
      else frame.fill(0);
      this.#clean(pfn);
      changed(pfn);
    }
    this.#base = images;
  }

  /** Frames that may differ from zero, with their contents now. */
  *contents(): Generator<{ pfn: number; bytes: Uint8Array }> {
    const flags = this.memory.mem.bytes;
    for (let pfn = 0; pfn < this.#frames; pfn++)
      if (this.#base[Math.floor(pfn / CHUNK)]?.[pfn % CHUNK] || flags[L.FRAME_FLAGS + pfn]! & L.FRAME_DIRTY)
        yield { pfn, bytes: this.memory.slice(pfn * PAGE_SIZE, PAGE_SIZE) };
  }
}

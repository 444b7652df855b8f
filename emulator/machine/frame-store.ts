/**
 * Contents of guest frames at snapshots. A snapshot shares with the one before it every frame that was not written in
 * between, so it costs one copy per frame written (FRAME_DIRTY) and one array of references.
 */
import * as L from '../cpu/layout.ts';
import type { PhysicalMemory } from '../mmu/physical.ts';
import { PAGE_SIZE } from '../mmu/physical.ts';

/** Frame contents by frame number; undefined = all zero. */
export type FrameImages = readonly (Uint8Array | undefined)[];

export class FrameStore {
  /** Memory equals this except for frames marked dirty. */
  #base: FrameImages;

  constructor(readonly memory: PhysicalMemory) {
    this.#base = new Array<undefined>(memory.size / PAGE_SIZE).fill(undefined);
  }

  /** Frames written since the last `save` or `load`. */
  *#dirty(): Generator<number> {
    const flags = this.memory.mem.bytes;
    const frames = this.memory.size / PAGE_SIZE;
    for (let pfn = 0; pfn < frames; pfn++) if (flags[L.FRAME_FLAGS + pfn]! & L.FRAME_DIRTY) yield pfn;
  }

  #clean(pfn: number): void {
    this.memory.mem.bytes[L.FRAME_FLAGS + pfn]! &= ~L.FRAME_DIRTY;
  }

  /** The caller must drop every write tag of the TLB afterwards, or later writes go unseen. */
  save(): FrameImages {
    const images = this.#base.slice();
    for (const pfn of this.#dirty()) {
      images[pfn] = this.memory.slice(pfn * PAGE_SIZE, PAGE_SIZE).slice();
      this.#clean(pfn);
    }
    this.#base = images;
    return images;
  }

  /** Makes memory equal to the images; `changed` is told every frame it writes. Write tags must be dropped afterwards. */
  load(images: FrameImages, changed: (pfn: number) => void): void {
    const dirty = new Set(this.#dirty());
    for (let pfn = 0; pfn < images.length; pfn++) {
      if (!dirty.has(pfn) && images[pfn] === this.#base[pfn]) continue;
      const frame = this.memory.slice(pfn * PAGE_SIZE, PAGE_SIZE);
      const image = images[pfn];
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
    for (let pfn = 0; pfn < this.#base.length; pfn++)
      if (this.#base[pfn] || flags[L.FRAME_FLAGS + pfn]! & L.FRAME_DIRTY)
        yield { pfn, bytes: this.memory.slice(pfn * PAGE_SIZE, PAGE_SIZE) };
  }
}

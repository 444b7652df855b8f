/** Extended page tables of one vCPU: real tables in frames of host memory, filled one violation at a time. */
import { PAGE_SIZE, type PhysicalMemory } from '../mmu/physical.ts';

// In the low half of an entry.
const READ = 1;
const WRITE = 2;
const EXECUTE = 4;
/** Memory type write-back, bits 5:3. */
const WRITE_BACK = 6 << 3;
const UNCACHEABLE = 0 << 3;
/** Ignore the guest's PAT. */
const IGNORE_PAT = 1 << 6;
const LOW_LARGE = 1 << 7;
const ACCESSED = 1 << 8;
const DIRTY = 1 << 9;
/** Software bit: the leaf maps a raw page frame (vvar, device memory) that has no page structure behind it. */
const RAW_FRAME = 1 << 10;
const LOW_RIGHTS = READ | WRITE | EXECUTE;
// Whole entries.
const RIGHTS = 7n;
const LARGE = 1n << 7n;
const ADDRESS = 0x000f_ffff_ffff_f000n;
/** The address in the halves. */
const LOW_ADDRESS = ~0xfff;
const HIGH_ADDRESS = 0xf_ffff;

/** EPTP: 4 levels, write-back; bit 6 enables accessed and dirty flags. */
const EPTP_BASE = 0x1en;
const EPTP_ACCESSED_DIRTY = 0x40n;

/** Index bits of each level's table; level 4 is the PML4. */
const SHIFT = [0, 12, 21, 30, 39] as const;
/** Bytes that an entry of the level covers. */
const COVERS = SHIFT.map((shift) => 2 ** shift);

/** What the tables of one vCPU are; plain data. */
export interface EptState {
  readonly root: number;
  /** Every frame the tables occupy, the root included. */
  frames: number[];
}

export interface Backing {
  /** HPA of the first byte of the page. */
  readonly hpa: number;
  /** 4096, 2 MB or 1 GB. */
  readonly pageSize: number;
  readonly special: boolean;
}

export class Ept {
  constructor(
    private readonly physical: PhysicalMemory,
    private readonly frames: { allocateFrame(): number; freeFrame(hpa: number): void },
    /** The processor has EPT accessed and dirty flags. */
    private readonly accessedDirty: boolean,
  ) {}

  /** Undefined when RAM is exhausted. */
  create(): EptState | undefined {
    const root = this.frames.allocateFrame();
    return root < 0 ? undefined : { root, frames: [root] };
  }

  destroy(tables: EptState): void {
    for (const frame of tables.frames) this.frames.freeFrame(frame);
    tables.frames = [];
  }

  pointer(tables: EptState): bigint {
    return BigInt(tables.root) | EPTP_BASE | (this.accessedDirty ? EPTP_ACCESSED_DIRTY : 0n);
  }

  /**
   * Maps the page that holds `gpa`. 'replaced' means an entry that translated before is gone or points elsewhere, so that
   * cached translations must be flushed; an upgrade from read-only to writable is not (the violation itself drops them). RAM is below 4 GB, so that all
   * that these tables hold is in the low halves of their entries.
   * @param write the leaf is writable (and dirty): the access was a write
   */
  map(tables: EptState, gpa: number, backing: Backing, write: boolean): 'mapped' | 'replaced' | 'no-memory' {
    const { physical } = this;
    const level = backing.pageSize === PAGE_SIZE ? 1 : backing.pageSize === COVERS[2] ? 2 : 3;
    const high = Math.floor(gpa / TWO_32);
    let table = tables.root;
    for (let at = 4; at > level; at--) {
      const slot = table + indexOf(at, gpa | 0, high) * 8;
      const entry = physical.read32(slot);
      table = (entry & LOW_ADDRESS) >>> 0;
      if ((entry & LOW_RIGHTS) !== 0 && (entry & LOW_LARGE) === 0) continue;
      table = this.#addTable(tables, slot, entry, at);
      if (table < 0) return 'no-memory';
    }
    const slot = table + indexOf(level, gpa | 0, high) * 8;
    const old = physical.read32(slot);
    const leaf = this.#leaf(backing, level, write);
    physical.write32(slot + 4, 0);
    physical.write32(slot, leaf);
    if ((old & LOW_RIGHTS) === 0) return 'mapped';
    if (level > 1 && (old & LOW_LARGE) === 0) this.#freeTables(tables, (old & LOW_ADDRESS) >>> 0, level - 1);
    const same = ((old ^ leaf) & LOW_ADDRESS) === 0;
    return same && (level === 1 || (old & LOW_LARGE) !== 0) ? 'mapped' : 'replaced';
  }

  /** The HPA of a new table for an entry that holds none; -1 if there is no memory for it. */
  #addTable(tables: EptState, slot: number, entry: number, level: number): number {
    const frame = this.frames.allocateFrame();
    if (frame < 0) return -1;
    tables.frames.push(frame);
    if ((entry & LOW_RIGHTS) !== 0) this.#split(this.physical.read64(slot), level, frame);
    this.physical.write64(slot, BigInt(frame) | RIGHTS);
    return frame;
  }

  /** Drops every leaf in [start, end). True if there was one. A larger leaf that overlaps goes whole. */
  clear(tables: EptState, start: number, end: number): boolean {
    return this.#clear(tables.root, 4, 0, start, end);
  }

  /** The leaf that maps a GPA, or undefined. */
  lookup(tables: EptState, gpa: number): { entry: bigint; level: number } | undefined {
    let table = tables.root;
    for (let level = 4; level >= 1; level--) {
      const entry = this.physical.read64(entryAt(table, level, gpa));
      if ((entry & RIGHTS) === 0n) return undefined;
      if (level === 1 || (entry & LARGE) !== 0n) return { entry, level };
      table = Number(entry & ADDRESS);
    }
    return undefined;
  }

  /** HPA behind a GPA, -1 if it is not mapped: `lookup` for those who ask often. */
  translate(tables: EptState, gpa: number): number {
    let table = tables.root;
    for (let level = 4; level >= 1; level--) {
      const at = entryAt(table, level, gpa);
      const low = this.physical.read32(at);
      if ((low & LOW_RIGHTS) === 0) return -1;
      const address = (low & LOW_ADDRESS) >>> 0;
      table = address + (this.physical.read32(at + 4) & HIGH_ADDRESS) * 2 ** 32;
      if (level === 1 || (low & LOW_LARGE) !== 0) return table + (gpa % COVERS[level]!);
    }
    return -1;
  }

  /** The low half. */
  #leaf({ hpa, special }: Backing, level: number, write: boolean): number {
    const leaf = hpa | this.leafBits(write, special);
    return (level > 1 ? leaf | LOW_LARGE : leaf) >>> 0;
  }
  /** Of the low half of a leaf of 4 KB, all but the address. */
  leafBits(write: boolean, special = false): number {
    let bits = IGNORE_PAT | (special ? READ | UNCACHEABLE | RAW_FRAME : READ | EXECUTE | WRITE_BACK);
    if (write) bits |= WRITE;
    if (this.accessedDirty) bits |= write ? ACCESSED | DIRTY : ACCESSED;
    return bits;
  }

  /** Fills a new table with the parts of a large leaf. */
  #split(leaf: bigint, level: number, frame: number): void {
    const part = COVERS[level - 1]!;
    const flags = (leaf & ~ADDRESS & ~LARGE) | (level - 1 > 1 ? LARGE : 0n);
    const first = Number(leaf & ADDRESS);
    for (let index = 0; index < 512; index++)
      this.physical.write64(frame + index * 8, BigInt(first + index * part) | flags);
  }

  #clear(table: number, level: number, base: number, start: number, end: number): boolean {
    const covers = COVERS[level]!;
    const first = Math.max(0, Math.floor((start - base) / covers));
    const last = Math.min(511, Math.floor((end - 1 - base) / covers));
    let found = false;
    for (let index = first; index <= last; index++) {
      const slot = table + index * 8;
      const entry = this.physical.read64(slot);
      if ((entry & RIGHTS) === 0n) continue;
      if (level === 1 || (entry & LARGE) !== 0n) {
        this.physical.write64(slot, 0n);
        found = true;
      } else if (this.#clear(Number(entry & ADDRESS), level - 1, base + index * covers, start, end)) found = true;
    }
    return found;
  }

  #freeTables(tables: EptState, table: number, level: number): void {
    for (let index = 0; level > 1 && index < 512; index++) {
      const entry = this.physical.read64(table + index * 8);
      if ((entry & RIGHTS) !== 0n && (entry & LARGE) === 0n)
        this.#freeTables(tables, Number(entry & ADDRESS), level - 1);
    }
    this.frames.freeFrame(table);
    tables.frames = tables.frames.filter((frame) => frame !== table);
  }
}

const TWO_32 = 2 ** 32;

/** Index of the entry for a GPA, given in halves, in the table of a level. */
function indexOf(level: number, low: number, high: number): number {
  if (level === 1) return (low >>> 12) & 511;
  if (level === 2) return (low >>> 21) & 511;
  return level === 3 ? (low >>> 30) | ((high & 127) << 2) : (high >>> 7) & 511;
}

/** HPA of the entry for a GPA in the table of a level. */
function entryAt(table: number, level: number, gpa: number): number {
  return table + (Math.floor(gpa / COVERS[level]!) % 512) * 8;
}

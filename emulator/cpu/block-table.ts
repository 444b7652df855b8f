/**
 * What is known of blocks, by their numbers: in linear memory, where the core finds and builds them, too (core/code-blocks.ts). `Block` objects are made for those
 * that somebody asks for.
 */
import { Block, RecordLengths } from './block.ts';
import type { SystemStep } from './block.ts';
import * as C from './code-layout.ts';
import { highHalf, readGva, writeGva } from './code-address.ts';
import type { CoreExports } from './context.ts';
import { CODE_CONTEXTS } from './fpu-traps.ts';
import type { CodeContext } from './fpu-traps.ts';
import * as L from './layout.ts';
import type { LinearMemory } from './state.ts';

/** What `add` is told. */
export interface NewBlock {
  readonly gva: number;
  readonly record: number;
  readonly pfn: number;
  readonly secondPfn: number;
  readonly end: number;
  readonly count: number;
  readonly single: boolean;
  readonly system: SystemStep | undefined;
  readonly context: CodeContext;
}

/** Outside 64-bit mode addresses have no high half, and the context's number of segments takes its place. */
const secondWord = (gva: number, context: CodeContext, single: boolean): number =>
  ((highHalf(gva) + Math.floor(context / CODE_CONTEXTS)) << 7) | ((context % CODE_CONTEXTS) << 1) | (single ? 1 : 0);

const place = (number: number): number => L.BLOCKS + number * L.BLOCK_SIZE;

export class BlockTable {
  readonly #lengths: RecordLengths;
  readonly #objects = new Map<number, Block>();

  constructor(
    readonly mem: LinearMemory,
    readonly core: CoreExports,
  ) {
    this.#lengths = new RecordLengths(mem);
    core.clearBlocks();
  }

  get count(): number {
    return this.mem.get32(L.BLOCK_COUNT);
  }
  /** Where the next record goes. */
  get next(): number {
    return this.mem.get32(L.CODE_NEXT);
  }
  set next(record: number) {
    this.mem.set32(L.CODE_NEXT, record);
  }
  /** Whether the largest block has room. */
  get hasRoom(): boolean {
    return this.next + C.LARGEST_BLOCK <= this.mem.get32(L.CODE_STUBS) && this.core.blockRoom() !== 0;
  }
  get lengths(): RecordLengths {
    return this.#lengths;
  }

  /** First record of a block, or 0. */
  find(gva: number, pfn: number, context: CodeContext, single: boolean): number {
    return this.core.findBlock(gva, secondWord(gva, context, single), pfn) & ~C.BLOCK_CROSSES;
  }
  /** Enters a block, whose records stand at `next` or before, as the one to be found at its address. */
  add(made: NewBlock): Block {
    const number = this.count;
    const { mem } = this;
    const at = place(number);
    mem.set32(L.BLOCK_COUNT, number + 1);
    writeGva(mem, at + C.BLOCK_GVA, made.gva);
    mem.set32(at + C.BLOCK_RECORD, made.record);
    mem.set32(at + C.BLOCK_PFN, made.pfn);
    mem.set32(at + C.BLOCK_SECOND_PFN, made.secondPfn);
    mem.bytes[at + C.BLOCK_INSTRUCTIONS] = made.count;
    mem.bytes[at + C.BLOCK_FLAGS] = C.BLOCK_LIVE | (made.single ? C.BLOCK_SINGLE : 0);
    mem.set16(at + C.BLOCK_BYTES, made.end - made.gva);
    mem.set32(at + C.BLOCK_CONTEXT, made.context);
    this.core.linkFrame(number);
    const crosses = made.secondPfn >= 0 ? C.BLOCK_CROSSES : 0;
    this.core.addBlock(made.gva, secondWord(made.gva, made.context, made.single), made.pfn, made.record | crosses);
    return this.#make(number, made.system);
  }
  /** The block is not found any more. */
  remove({ gva, pfn, context, single }: Block): void {
    this.core.removeBlock(gva, secondWord(gva, context, single), pfn);
  }

  /** The block with a number. */
  block(number: number): Block {
    return this.#objects.get(number) ?? this.#make(number, undefined);
  }
  #make(number: number, system: SystemStep | undefined): Block {
    const { mem } = this;
    const at = place(number);
    const gva = readGva(mem, at + C.BLOCK_GVA);
    const flags = mem.bytes[at + C.BLOCK_FLAGS]!;
    const block = new Block(
      gva,
      mem.get32(at + C.BLOCK_RECORD),
      mem.get32(at + C.BLOCK_PFN),
      mem.get32(at + C.BLOCK_SECOND_PFN) | 0,
      gva + mem.get16(at + C.BLOCK_BYTES),
      mem.bytes[at + C.BLOCK_INSTRUCTIONS]!,
      (flags & C.BLOCK_SINGLE) !== 0,
      system,
      mem.get32(at + C.BLOCK_CONTEXT),
      this.#lengths,
    );
    block.live = (flags & C.BLOCK_LIVE) !== 0;
    this.#objects.set(number, block);
    return block;
  }
  isLive(number: number): boolean {
    return (this.mem.bytes[place(number) + C.BLOCK_FLAGS]! & C.BLOCK_LIVE) !== 0;
  }
  /** The block is no more: it is not found, and whoever has it sees so. */
  kill(number: number): Block {
    const block = this.block(number);
    this.#objects.delete(number);
    block.live = false;
    this.mem.bytes[place(number) + C.BLOCK_FLAGS]! &= ~C.BLOCK_LIVE;
    this.remove(block);
    return block;
  }
  #recordOf(number: number): number {
    return this.mem.get32(place(number) + C.BLOCK_RECORD);
  }
  /** Number of the block whose records or stubs hold an address: they stand in the order of numbers. */
  holding(record: number): number {
    let low = 0;
    let high = this.count - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#recordOf(middle) <= record) low = middle;
      else high = middle - 1;
    }
    return low;
  }
  /** Frames of live blocks, but those of single steps, that hold one of some addresses. */
  framesOf(gvas: readonly number[]): Set<number> {
    const { mem } = this;
    const frames = new Set<number>();
    for (let number = 0, end = this.count; number < end; number++) {
      const at = place(number);
      if (mem.bytes[at + C.BLOCK_FLAGS] !== C.BLOCK_LIVE) continue;
      const first = readGva(mem, at + C.BLOCK_GVA);
      const after = first + mem.get16(at + C.BLOCK_BYTES);
      if (gvas.some((gva) => gva >= first && gva < after)) frames.add(mem.get32(at + C.BLOCK_PFN));
    }
    return frames;
  }
  /** Takes the blocks of a frame out of its list; answers their numbers. */
  takeFrame(pfn: number): number[] {
    const { mem } = this;
    const numbers: number[] = [];
    for (let next = mem.get32(L.FRAME_BLOCKS + pfn * 4); next !== 0;) {
      numbers.push(next - 1);
      next = mem.get32(place(next - 1) + C.BLOCK_SIBLING);
    }
    mem.set32(L.FRAME_BLOCKS + pfn * 4, 0);
    return numbers;
  }
  /** Forgets everything; answers the frames that blocks were in. */
  clear(): Set<number> {
    const frames = new Set<number>();
    for (let number = 0, end = this.count; number < end; number++)
      frames.add(this.mem.get32(place(number) + C.BLOCK_PFN));
    for (const pfn of frames) this.mem.set32(L.FRAME_BLOCKS + pfn * 4, 0);
    this.#objects.clear();
    this.core.clearBlocks();
    return frames;
  }
}

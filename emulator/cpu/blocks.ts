/**
 * Decoded blocks: straight runs of instructions within a page, as records in linear memory. Keyed by frame, linear address and code mode, so that they
 * outlive address-space switches; which of them a context may run is decided by the fetch, then by the jump cache of the TLB bank in force.
 */
import type { CodeFetcher } from './fetch.ts';
import { readGva, toNumber, writeGva } from './code-address.ts';
import { pageOf } from './fetch.ts';
import type { DecodedInstruction } from './decode.ts';
import { leavesSegment } from './code-segments.ts';
import type { CodeSegments } from './code-segments.ts';
import { CODE_CONTEXTS, fpuRefusal, modeOf } from './fpu-traps.ts';
import type { CodeContext } from './fpu-traps.ts';
import * as L from './layout.ts';
import { HANDLER, MAX_BLOCK, STUB, TERMINATOR } from './records.ts';
import type { RecordPlan, RecordWriter } from './block-writer.ts';
import type { LinearMemory } from './state.ts';

/** What TypeScript does at a record that no handler covers. */
export type SystemStep =
  | { readonly insn: DecodedInstruction }
  /** What cannot be executed: no instruction, or not in this state. */
  | Refused;

export interface Refused {
  readonly insn: undefined;
  readonly vector: number;
  readonly because: string;
  /** Bytes that are no instruction. */
  readonly bytes?: Uint8Array;
}

export interface Block {
  readonly gva: number;
  /** Address of its first record. */
  readonly record: number;
  readonly pfn: number;
  /** Frame of the second page when its last instruction crosses, or -1. */
  readonly secondPfn: number;
  /** Linear address after it. */
  readonly end: number;
  /** Offset from `gva` of each instruction. */
  readonly starts: readonly number[];
  /** Record index of each instruction; those of a fused pair have the same. */
  readonly slots: readonly number[];
  /** Made for one single step. */
  readonly single: boolean;
  /** Its last instruction, if TypeScript executes it. */
  readonly system: SystemStep | undefined;
  readonly context: CodeContext;
  live: boolean;
}

const PAGE = 4096;
const MODE_64 = 2;
const VECTOR_UD = 6;
const VECTOR_GP = 13;
const GRANULE = 64;
/** A countdown that never ends. */
const NEVER = 0x7fff_ffff;
/** Blocks that were dropped but still take memory, beyond which everything is dropped: programs that write code for ever. */
const MOST_DEAD = 100_000;
/** Slots of the short ways to a block by its address and by one of its records. A power of two. */
const RECENT = 1024;
/** Room for the largest block and its stubs. */
const LARGEST = (MAX_BLOCK * 2 + 8) * L.RECORD_SIZE;

const setKey = (pfn: number, context: CodeContext, single: boolean): number =>
  (context * L.MAX_FRAMES + pfn) * 2 + (single ? 1 : 0);

/** What the op of a branch ends with if it leads out of the code segment: cpu/system/ executes it. */
const LEAVING = '_leaving';

/** An instruction that does not lie within CS, or that these modes do not have. */
function segmentRefusal(
  { length, row }: DecodedInstruction,
  gva: number,
  segments: CodeSegments,
): Omit<Refused, 'insn'> | undefined {
  const last = ((gva - segments.base) >>> 0) + length - 1;
  if (last > segments.limit)
    return {
      vector: VECTOR_GP,
      because: `an instruction that ends at ${hex(last)}, beyond CS's limit ${hex(segments.limit)}`,
    };
  if (row.vex !== undefined && segments.without === 'vex')
    return { vector: VECTOR_UD, because: 'a VEX prefix in real or virtual-8086 mode' };
  return undefined;
}
const hex = (value: number): string => `0x${value.toString(16)}`;

export class BlockCache {
  /** Blocks by frame, context and whether for one step (`setKey`), then by linear address. */
  readonly #sets = new Map<number, Map<number, Block>>();
  /** Keys in `#sets` of a frame. */
  readonly #frames = new Map<number, number[]>();
  /** Blocks whose last instruction ends in a frame. */
  readonly #tails = new Map<number, Block[]>();
  /** In the order of their records, dead ones included. */
  #all: Block[] = [];
  /** What `at` and `holding` found lately, by a hash of what was asked. */
  readonly #recent = new Array<Block | undefined>(RECENT).fill(undefined);
  readonly #held = new Array<Block | undefined>(RECENT).fill(undefined);
  readonly #heldRecords = new Uint32Array(RECENT);
  #next = L.RECORDS;
  #dead = 0;
  /** Counts flushes: records named before one are gone. */
  generation = 0;
  breakpoints: ReadonlySet<number> = new Set();
  /** Executions before a block counts as hot. */
  countdown = NEVER;
  /** Told of every block that is dropped. */
  onDrop: (block: Block) => void = () => {};
  /** Told before everything is dropped. */
  onFlush: () => void = () => {};
  /** Told of a frame that now holds decoded code for the first time. */
  onCodeFrame: (pfn: number) => void = () => {};

  constructor(
    readonly mem: LinearMemory,
    readonly fetcher: CodeFetcher,
    readonly writer: RecordWriter,
  ) {}

  /**
   * The block at an address in the current context, decoded if need be; undefined with FAULT_* filled if it cannot be fetched.
   * @param segments outside 64-bit mode
   */
  at(gva: number, mode: CodeContext, single: boolean, segments?: CodeSegments): Block | undefined {
    const host = this.fetcher.locate(gva);
    if (host === 0) return undefined;
    const context = segments ? mode + segments.id * CODE_CONTEXTS : mode;
    const pfn = (host - L.RAM_BASE) >>> 12;
    const slot = ((gva >>> 0) ^ ((gva >>> 0) >>> 10)) & (RECENT - 1);
    const recent = this.#recent[slot];
    if (recent && recent.gva === gva && recent.live && recent.pfn === pfn && recent.context === context && !single)
      return recent;
    const known = this.#sets.get(setKey(pfn, context, single))?.get(gva);
    if (known && this.#sameSecondPage(known)) {
      if (!single && known.secondPfn < 0) this.#recent[slot] = known;
      return known;
    }
    const made = this.#decode(gva, host, pfn, context, single, segments);
    if (!made) return undefined;
    this.#setOf(made.pfn, context, single).set(gva, made);
    if (made.secondPfn >= 0) this.#tails.set(made.secondPfn, [...(this.#tails.get(made.secondPfn) ?? []), made]);
    return made;
  }
  /** As `at` for an address whose frame is known, but only if it is decoded. */
  known(gva: number, pfn: number, context: CodeContext): Block | undefined {
    return this.#sets.get(setKey(pfn, context, false))?.get(gva);
  }
  #sameSecondPage(block: Block): boolean {
    return block.secondPfn < 0 || this.#pfnAt((pageOf(block.gva) + 1) * PAGE) === block.secondPfn;
  }
  /** -1 with FAULT_* filled if it cannot be fetched from. */
  #pfnAt(gva: number): number {
    const host = this.fetcher.locate(gva);
    return host === 0 ? -1 : (host - L.RAM_BASE) >>> 12;
  }
  #setOf(pfn: number, context: CodeContext, single: boolean): Map<number, Block> {
    const key = setKey(pfn, context, single);
    let set = this.#sets.get(key);
    if (!set) {
      this.#sets.set(key, (set = new Map()));
      this.#frames.set(pfn, [...(this.#frames.get(pfn) ?? []), key]);
    }
    return set;
  }

  /** The block whose records or stubs hold an address. */
  holding(record: number): Block {
    const slot = (record >>> 5) & (RECENT - 1);
    if (this.#heldRecords[slot] === record) return this.#held[slot]!;
    const block = this.#search(record);
    this.#heldRecords[slot] = record;
    this.#held[slot] = block;
    return block;
  }
  #search(record: number): Block {
    let low = 0;
    let high = this.#all.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#all[middle]!.record <= record) low = middle;
      else high = middle - 1;
    }
    return this.#all[low]!;
  }
  /** Linear address that a record (a stub or the first of a block) stands for. */
  gvaOf(record: number): number {
    const handler = this.mem.get16(record + STUB.handler);
    const stub = (handler >= HANDLER.unlinked && handler <= HANDLER.breakpoint) || handler === HANDLER.farInSegment;
    if (stub) return readGva(this.mem, record + STUB.target);
    return this.holding(record).gva;
  }

  // ---------------------------------------------------------------- decoding

  #decode(
    gva: number,
    host: number,
    pfn: number,
    context: CodeContext,
    single: boolean,
    segments: CodeSegments | undefined,
  ): Block | undefined {
    if (this.#next + LARGEST > L.RECORDS_END || this.#dead > MOST_DEAD) this.flush();
    if (!single && this.breakpoints.has(gva)) return this.#breakpointBlock(gva, pfn, context);
    const insns: DecodedInstruction[] = [];
    let at = gva;
    let secondPfn = -1;
    let system: SystemStep | undefined;
    for (;;) {
      // An instruction on two pages is a block of its own, so that only it depends on the second.
      const fetched = this.fetcher.instruction(
        at,
        host + (at - gva),
        modeOf(context),
        insns.length === 0,
        segments?.base,
      );
      if (fetched === 'fault') return undefined;
      if (fetched === 'crosses') break;
      if (fetched.insn === undefined) {
        if (insns.length > 0) break;
        system = fetched;
        secondPfn = fetched.secondPfn;
        at++;
        break;
      }
      const { insn } = fetched;
      const refusal = (segments && segmentRefusal(insn, at, segments)) ?? fpuRefusal(insn, context);
      const outside = segments && !refusal && leavesSegment(insn, segments);
      if (refusal || outside) {
        if (insns.length > 0) break;
        system = refusal ? { insn: undefined, ...refusal } : { insn: { ...insn, op: insn.op + LEAVING } };
        secondPfn = fetched.secondPfn;
        at += insn.length;
        break;
      }
      insns.push(insn);
      at += insn.length;
      secondPfn = fetched.secondPfn;
      if (insn.row.branch !== undefined || insn.row.system) break;
      if (
        single ||
        insns.length === MAX_BLOCK ||
        secondPfn >= 0 ||
        pageOf(at) !== pageOf(gva) ||
        this.breakpoints.has(at)
      )
        break;
    }
    return this.#lay(gva, at, pfn, secondPfn, insns, context, single, system, segments);
  }

  #breakpointBlock(gva: number, pfn: number, context: CodeContext): Block {
    const record = this.#next;
    this.writer.writeStub(record, HANDLER.breakpoint, gva, 0);
    this.#next += L.RECORD_SIZE;
    return this.#keep({
      gva,
      record,
      pfn,
      secondPfn: -1,
      end: gva + 1,
      starts: [0],
      slots: [0],
      single: false,
      system: undefined,
      context,
      live: true,
    });
  }

  #lay(
    gva: number,
    end: number,
    pfn: number,
    secondPfn: number,
    insns: readonly DecodedInstruction[],
    context: CodeContext,
    single: boolean,
    undecodable: SystemStep | undefined,
    segments: CodeSegments | undefined,
  ): Block {
    const mode = modeOf(context);
    const record = this.#next;
    const starts: number[] = [];
    const slots: number[] = [];
    let at = record;
    let terminator = -1;
    let last: RecordPlan | undefined;
    let offset = 0;
    for (const plan of this.writer.plan(insns, mode, single, segments)) {
      this.writer.write(at, plan, insns, starts.length, mode, segments?.base);
      const slot = (at - record) / L.RECORD_SIZE;
      for (let i = 0; i < plan.instructions; i++) {
        starts.push(offset);
        slots.push(slot);
        offset += insns[starts.length - 1]!.length;
      }
      if (plan.terminator >= 0) terminator = at + plan.terminator;
      at += plan.records * L.RECORD_SIZE;
      last = plan;
    }
    let system = undecodable;
    if (undecodable) {
      starts.push(0);
      slots.push(0);
      this.writer.writeStub(at, HANDLER.system, gva, 0);
      at += L.RECORD_SIZE;
    } else if (last!.handler === HANDLER.system) system = { insn: insns.at(-1)! };
    else if (terminator >= 0) at = this.#link(at, terminator, insns, end, single);
    else at = this.#fallThrough(at, insns.length, end, single);
    this.#next = at;
    return this.#keep({ gva, record, pfn, secondPfn, end, starts, slots, single, system, context, live: true });
  }

  /** Count, countdown and a stub for each link of a terminator. */
  #link(free: number, terminator: number, insns: readonly DecodedInstruction[], end: number, single: boolean): number {
    const { mem, writer } = this;
    mem.set16(terminator + TERMINATOR.count, insns.length);
    mem.set32(terminator + TERMINATOR.countdown, this.countdown);
    const target = insns.at(-1)!.operands.find((operand) => operand.kind === 'target');
    if (!target) return free;
    const handler = single ? HANDLER.stop : HANDLER.unlinked;
    [end, toNumber(target.gva)].forEach((gva, index) => {
      const cell = terminator + TERMINATOR.links + index * 4;
      const stub = free + index * L.RECORD_SIZE;
      writer.writeStub(stub, handler, gva, cell);
      mem.set32(cell, stub);
    });
    return free + 2 * L.RECORD_SIZE;
  }
  /** The end of a block that no branch ends: a jump to the next instruction, or the end of the single step. */
  #fallThrough(free: number, count: number, end: number, single: boolean): number {
    const { mem, writer } = this;
    if (single) {
      writer.writeStub(free, HANDLER.stop, end, 0);
      return free + L.RECORD_SIZE;
    }
    const stub = free + L.RECORD_SIZE;
    mem.bytes.fill(0, free, stub);
    mem.set16(free, this.writer.jumpHandler);
    mem.set16(free + TERMINATOR.count, count);
    mem.set32(free + TERMINATOR.countdown, this.countdown);
    mem.set32(free + TERMINATOR.links + 4, stub);
    writer.writeStub(stub, HANDLER.unlinked, end, free + TERMINATOR.links + 4);
    return stub + L.RECORD_SIZE;
  }

  #keep(block: Block): Block {
    this.#all.push(block);
    this.#mark(block.pfn, block.gva, Math.min(block.end, (pageOf(block.gva) + 1) * PAGE));
    if (block.secondPfn >= 0) this.#mark(block.secondPfn, (pageOf(block.gva) + 1) * PAGE, block.end);
    return block;
  }
  /** Sets the code bits of the granules of [from, to), which lie on one page. */
  #mark(pfn: number, from: number, to: number): void {
    const at = (L.CODE_BITMAP + pfn * 8) >>> 2;
    const { u32 } = this.mem;
    if (u32[at] === 0 && u32[at + 1] === 0) this.onCodeFrame(pfn);
    const first = Math.floor(from / GRANULE);
    const last = Math.floor((Math.max(to, from + 1) - 1) / GRANULE);
    for (let granule = first; granule <= last; granule++) u32[at + ((granule >> 5) & 1)]! |= 1 << (granule & 31);
  }

  // ---------------------------------------------------------------- linking

  /** After an exit at a stub whose target turned out to be `block`: the link goes there directly if both are on one page. */
  connect(stub: number, block: Block): void {
    const wide = this.mem.get32(L.CODE_MODE) === MODE_64;
    const cell = this.mem.get32(stub + STUB.cell);
    if (cell === 0) return;
    const source = this.holding(cell);
    const samePage = source.pfn === block.pfn && pageOf(source.gva) === pageOf(block.gva);
    const near = source.live && samePage && block.secondPfn < 0;
    if (near) this.mem.set32(cell, block.record);
    else this.mem.set16(stub + STUB.handler, wide ? HANDLER.far : HANDLER.farInSegment);
  }
  /** Enters a block in the jump cache of the bank in force. */
  cacheJump({ gva, record }: Block): void {
    const entry = this.#jumpCacheEntry(gva);
    writeGva(this.mem, entry, gva);
    this.mem.set32(entry + 8, record);
  }
  /** The record that the jump cache of the bank in force has for an address, or 0. */
  cachedJump(gva: number): number {
    const entry = this.#jumpCacheEntry(gva);
    return readGva(this.mem, entry) === gva ? this.mem.get32(entry + 8) : 0;
  }
  #jumpCacheEntry(gva: number): number {
    const low = gva >>> 0;
    return this.mem.get32(L.JC_BASE) + (((low ^ (low >>> 12)) & (L.JC_ENTRIES - 1)) << L.JC_SHIFT);
  }
  /** A terminator whose countdown ran out begins again. */
  restartCountdown(terminator: number): void {
    if (this.mem.get32(terminator + TERMINATOR.countdown) === 0)
      this.mem.set32(terminator + TERMINATOR.countdown, this.countdown);
  }

  // ---------------------------------------------------------------- dropping

  /**
   * Drops the blocks of a frame. Whoever still links to one (only blocks of the same frames, also dropped, and jump caches) finds a stub that
   * leads to its successor.
   */
  dropFrame(pfn: number): void {
    const keys = this.#frames.get(pfn) ?? [];
    const blocks = [...keys.flatMap((key) => [...this.#sets.get(key)!.values()]), ...(this.#tails.get(pfn) ?? [])];
    for (const key of keys) this.#sets.delete(key);
    this.#frames.delete(pfn);
    this.#tails.delete(pfn);
    this.mem.set64(L.CODE_BITMAP + pfn * 8, 0n);
    for (const block of blocks) {
      if (!block.live) continue;
      block.live = false;
      this.#dead++;
      this.onDrop(block);
      this.writer.writeStub(block.record, HANDLER.unlinked, block.gva, 0);
      // Blocks of the other frame of a crossing instruction may link to it.
      this.dropFrame(block.pfn);
      if (block.secondPfn >= 0) this.dropFrame(block.secondPfn);
    }
  }
  /** Replaces the breakpoints; drops the frames in which a changed address lies in a block. */
  setBreakpoints(breakpoints: ReadonlySet<number>): void {
    const changed = [...breakpoints].filter((gva) => !this.breakpoints.has(gva));
    changed.push(...[...this.breakpoints].filter((gva) => !breakpoints.has(gva)));
    this.breakpoints = breakpoints;
    if (changed.length === 0) return;
    const touched = new Set<number>();
    for (const block of this.#all) {
      if (block.live && !block.single && changed.some((gva) => gva >= block.gva && gva < block.end))
        touched.add(block.pfn);
    }
    for (const pfn of touched) this.dropFrame(pfn);
  }
  /** Drops everything. */
  flush(): void {
    this.onFlush();
    for (const pfn of [...this.#frames.keys(), ...this.#tails.keys()]) this.mem.set64(L.CODE_BITMAP + pfn * 8, 0n);
    this.#sets.clear();
    this.#frames.clear();
    this.#tails.clear();
    this.#all = [];
    this.#recent.fill(undefined);
    this.#held.fill(undefined);
    this.#heldRecords.fill(0);
    this.#next = L.RECORDS;
    this.#dead = 0;
    this.generation++;
    this.mem.bytes.fill(0xff, L.JC, L.JC + L.TLB_BANKS * L.JC_BANK_BYTES);
  }
}

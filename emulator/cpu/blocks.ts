/**
 * Decoded blocks: straight runs of instructions within a page, as records in linear memory. Keyed by frame, linear address and code mode, so that they
 * outlive address-space switches; which of them a context may run is decided by the fetch, then by the jump cache of the TLB bank in force.
 */
import type { CodeFetcher } from './fetch.ts';
import { readGva, toBigint, toNumber, writeGva } from './code-address.ts';
import { pageOf } from './fetch.ts';
import type { DecodedInstruction } from './decode.ts';
import { leavesSegment } from './code-segments.ts';
import type { CodeSegments } from './code-segments.ts';
import { BlockTable } from './block-table.ts';
import type { NewBlock } from './block-table.ts';
import type { Block, Refused, SystemStep } from './block.ts';
import { Templates } from './templates.ts';
import { CODE_CONTEXTS, fpuRefusal, modeOf } from './fpu-traps.ts';
import type { CodeContext } from './fpu-traps.ts';
import * as C from './code-layout.ts';
import * as L from './layout.ts';
import { HANDLER, MAX_BLOCK, STUB, TERMINATOR } from './records.ts';
import { checkBytes } from './block-writer.ts';
import type { RecordPlan, RecordWriter } from './block-writer.ts';
import type { LinearMemory } from './state.ts';

const PAGE = 4096;
const MODE_64 = 2;
const VECTOR_UD = 6;
const VECTOR_GP = 13;
const GRANULE = 64;
/** A countdown that never ends. */
const NEVER = 0x7fff_ffff;
/** Blocks that were dropped but still take memory, beyond which everything is dropped: programs that write code for ever. */
const MOST_DEAD = 100_000;
/** Slots of the short way to a block by one of its records. A power of two. */
const RECENT = 1024;
/** Linear addresses below this and not below its negative are known to the core by the same numbers. */
const PLAIN = 2 ** 52;

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
  readonly #table: BlockTable;
  readonly #templates: Templates;
  /** Blocks whose last instruction ends in a frame. */
  readonly #tails = new Map<number, number[]>();
  /** What `holding` found lately, by a hash of what was asked. */
  readonly #held = new Array<Block | undefined>(RECENT).fill(undefined);
  readonly #heldRecords = new Uint32Array(RECENT);
  #dead = 0;
  /** Counts flushes: records named before one are gone. */
  generation = 0;
  breakpoints: ReadonlySet<number> = new Set();
  /** Off for tests: the core builds no blocks. */
  quick = true;
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
    readonly flushJumps: (bank: number) => void,
  ) {
    this.#table = new BlockTable(mem, fetcher.core);
    this.#templates = new Templates(mem, fetcher.core, fetcher.table, writer);
    this.countdown = NEVER;
    mem.set32(L.CODE_JUMP, writer.jumpHandler);
  }

  /** Executions before a block counts as hot. */
  get countdown(): number {
    return this.mem.get32(L.CODE_COUNTDOWN);
  }
  set countdown(executions: number) {
    this.mem.set32(L.CODE_COUNTDOWN, executions);
  }

  /**
   * The block at an address in the current context, decoded if need be; undefined with FAULT_* filled if it cannot be fetched.
   * @param segments outside 64-bit mode
   */
  at(gva: number, mode: CodeContext, single: boolean, segments?: CodeSegments): Block | undefined {
    const host = this.fetcher.locate(gva);
    if (host === 0) return undefined;
    const context = segments ? mode + segments.id * CODE_CONTEXTS : mode;
    const pfn = (host - L.RAM_BASE) >>> 12;
    const record = this.#table.find(gva, pfn, context, single);
    if (record !== 0) {
      const known = this.holding(record);
      if (this.#sameSecondPage(known)) return known;
      this.#table.remove(known);
    }
    if (!this.#table.hasRoom || this.#dead > MOST_DEAD) this.flush();
    const built = single || segments ? -1 : this.#build(gva, host, pfn, context);
    if (built >= 0) return this.#table.block(built);
    return this.#decode(gva, host, pfn, context, single, segments);
  }
  /** The quick way, for instructions like others before: number of the block, or -1. */
  #build(gva: number, host: number, pfn: number, context: CodeContext): number {
    if (!this.quick || !Templates.serve(context) || !(gva < PLAIN && gva >= -PLAIN)) return -1;
    if (this.#isNew(pfn)) this.onCodeFrame(pfn);
    return this.fetcher.core.buildBlock(toBigint(gva), host, pfn, context);
  }
  /** As `at` for an address whose frame is known, but only if it is decoded. */
  known(gva: number, pfn: number, context: CodeContext): Block | undefined {
    const record = this.#table.find(gva, pfn, context, false);
    return record === 0 ? undefined : this.holding(record);
  }
  /**
   * The record to go on with at an address, entered in the link of the stub that led there (0: none did) and in the jump cache; 0 if there is none yet that
   * the core can go on with by itself; -1 with FAULT_* filled. As `at`, but what large programs do most touches no block.
   */
  goOn(gva: number, stub: number, segments?: CodeSegments): number {
    const host = this.fetcher.locate(gva);
    if (host === 0) return -1;
    return segments || !this.quick ? 0 : this.fetcher.core.codeRecord(toBigint(gva), stub);
  }
  #sameSecondPage(block: Block): boolean {
    return block.secondPfn < 0 || this.#pfnAt((pageOf(block.gva) + 1) * PAGE) === block.secondPfn;
  }
  /** -1 with FAULT_* filled if it cannot be fetched from. */
  #pfnAt(gva: number): number {
    const host = this.fetcher.locate(gva);
    return host === 0 ? -1 : (host - L.RAM_BASE) >>> 12;
  }

  /** The block whose records or stubs hold an address. */
  holding(record: number): Block {
    const slot = (record >>> 4) & (RECENT - 1);
    if (this.#heldRecords[slot] === record) return this.#held[slot]!;
    const block = this.#table.block(this.#table.holding(record));
    this.#heldRecords[slot] = record;
    this.#held[slot] = block;
    return block;
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
      if (this.quick && !segments && !single) this.#templates.learn(insn, host + (at - gva), context);
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
    const record = this.#table.next;
    this.writer.writeMark(record, HANDLER.breakpoint, gva);
    this.#table.next += C.MARK_SIZE;
    this.#setLengths(record, C.MARK_SIZE, 1);
    const made = { gva, record, pfn, secondPfn: -1, end: gva + 1, count: 1, single: false, system: undefined, context };
    return this.#keep(made);
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
    const record = this.#table.next;
    let at = record;
    let terminator = -1;
    let last: RecordPlan | undefined;
    let lastRecord = record;
    let index = 0;
    for (const plan of this.writer.plan(insns, mode, single, segments)) {
      this.writer.write(at, plan, insns, index, mode, segments?.base);
      const second = plan.instructions > 1 ? insns[index + 1]!.length << 4 : 0;
      // The record of a segment check goes before the instruction's own.
      lastRecord = at + checkBytes(plan);
      this.#setLengths(at, plan.bytes, 0);
      this.#setLengths(lastRecord, plan.bytes - checkBytes(plan), insns[index]!.length | second);
      index += plan.instructions;
      if (plan.terminator >= 0) terminator = at + plan.terminator;
      at += plan.bytes;
      last = plan;
    }
    let system = undecodable;
    if (undecodable) {
      this.#setLengths(at, C.MARK_SIZE, 1);
      this.writer.writeMark(at, HANDLER.system, gva);
      at += C.MARK_SIZE;
    } else if (last!.handler === HANDLER.system) system = { insn: insns.at(-1)!, record: lastRecord };
    else if (terminator >= 0) this.#link(terminator, insns, end, single, pfn);
    else at = this.#fallThrough(at, insns.length, end, single, gva, pfn);
    this.#table.next = at;
    const count = insns.length || 1;
    return this.#keep({ gva, record, pfn, secondPfn, end, count, single, system, context });
  }
  #setLengths(record: number, bytes: number, lengths: number): void {
    this.#table.lengths.set(record, bytes, lengths);
  }

  /** Count, countdown and a stub for each link of a terminator. */
  #link(terminator: number, insns: readonly DecodedInstruction[], end: number, single: boolean, pfn: number): void {
    const { mem } = this;
    mem.set16(terminator + TERMINATOR.count, insns.length);
    mem.set32(terminator + TERMINATOR.countdown, this.countdown);
    const target = targetOf(insns.at(-1)!);
    if (target === undefined) {
      mem.set32(terminator + TERMINATOR.links + 4, 0);
      return;
    }
    const from = toNumber(insns[0]!.gva);
    this.#stub(terminator + TERMINATOR.links, end, single, from, pfn);
    this.#stub(terminator + TERMINATOR.links + 4, target, single, from, pfn);
  }
  /** Makes the stub of the link at `cell` of a block at `from`. */
  #stub(cell: number, gva: number, single: boolean, from: number, pfn: number): void {
    const at = this.mem.get32(L.CODE_STUBS) - C.STUB_SIZE;
    this.mem.set32(L.CODE_STUBS, at);
    this.writer.writeStub(at, single ? HANDLER.stop : HANDLER.unlinked, gva, cell, from, pfn);
    this.mem.set32(cell, at);
  }
  /** The end of a block that no branch ends: a jump to the next instruction, or the end of the single step. */
  #fallThrough(free: number, count: number, end: number, single: boolean, from: number, pfn: number): number {
    const { mem, writer } = this;
    this.#setLengths(free, C.MARK_SIZE, 0);
    if (single) {
      writer.writeMark(free, HANDLER.stop, end);
      return free + C.MARK_SIZE;
    }
    writer.writeJump(free);
    mem.set16(free + TERMINATOR.count, count);
    mem.set32(free + TERMINATOR.countdown, this.countdown);
    this.#stub(free + TERMINATOR.links + 4, end, false, from, pfn);
    return free + C.TERMINATOR_SIZE;
  }

  #keep(made: NewBlock): Block {
    const { gva, pfn, secondPfn, end } = made;
    const number = this.#table.count;
    this.#mark(pfn, gva, Math.min(end, (pageOf(gva) + 1) * PAGE));
    if (secondPfn >= 0) {
      this.#mark(secondPfn, (pageOf(gva) + 1) * PAGE, end);
      this.#tails.set(secondPfn, [...(this.#tails.get(secondPfn) ?? []), number]);
    }
    return this.#table.add(made);
  }
  #isNew(pfn: number): boolean {
    const at = (L.CODE_BITMAP + pfn * 8) >>> 2;
    return this.mem.u32[at] === 0 && this.mem.u32[at + 1] === 0;
  }
  /** Sets the code bits of the granules of [from, to), which lie on one page. */
  #mark(pfn: number, from: number, to: number): void {
    const at = (L.CODE_BITMAP + pfn * 8) >>> 2;
    const { u32 } = this.mem;
    if (this.#isNew(pfn)) this.onCodeFrame(pfn);
    const first = Math.floor(from / GRANULE);
    const last = Math.floor((Math.max(to, from + 1) - 1) / GRANULE);
    for (let granule = first; granule <= last; granule++) u32[at + ((granule >> 5) & 1)]! |= 1 << (granule & 31);
  }

  // ---------------------------------------------------------------- linking

  /** Enters a block in the link of the stub that led to it and in the jump cache of the bank in force. */
  connect(stub: number, block: Block): void {
    if (stub === 0) return this.#cacheJump(block.gva, block.record);
    if (block.secondPfn < 0) this.#connect(stub, block.pfn, block.record);
    else if (this.mem.get32(stub + STUB.cell) !== 0) this.#goFar(stub);
    this.#cacheJump(block.gva, block.record);
  }
  /** The link goes to the block directly if both are on one page, else through the jump cache. */
  #connect(stub: number, pfn: number, record: number): void {
    const { mem } = this;
    const cell = mem.get32(stub + STUB.cell);
    if (cell === 0) return;
    if (mem.get32(stub + STUB.pfn) === pfn) mem.set32(cell, record);
    else this.#goFar(stub);
  }
  #goFar(stub: number): void {
    const wide = this.mem.get32(L.CODE_MODE) === MODE_64;
    this.mem.set16(stub + STUB.handler, wide ? HANDLER.far : HANDLER.farInSegment);
  }
  #cacheJump(gva: number, record: number): void {
    const { mem } = this;
    const entry = this.#jumpCacheEntry(gva);
    writeGva(mem, entry, gva);
    mem.set32(entry + 8, record);
    const chunk = (entry - L.JC) >>> (L.JC_CHUNK_SHIFT + L.JC_SHIFT);
    // 64 chunks a bank.
    mem.u32[(L.JC_USED >>> 2) + (chunk >>> 5)]! |= 1 << (chunk & 31);
  }
  /** The record that the jump cache of the bank in force has for an address, or 0. */
  cachedJump(gva: number): number {
    const entry = this.#jumpCacheEntry(gva);
    return readGva(this.mem, entry) === gva ? this.mem.get32(entry + 8) : 0;
  }
  /** As `cachedJump` for RIP, outside of segments: equal words are equal addresses. */
  cachedNext(): number {
    const { u32 } = this.mem;
    const entry = this.#jumpCacheEntry(u32[L.RIP >>> 2]!);
    const here = u32[entry >>> 2] === u32[L.RIP >>> 2] && u32[(entry >>> 2) + 1] === u32[(L.RIP >>> 2) + 1];
    return here ? u32[(entry >>> 2) + 2]! : 0;
  }
  #jumpCacheEntry(gva: number): number {
    const low = gva >>> 0;
    const hash = (low >>> L.JC_LOW) ^ (low >>> L.JC_HIGH);
    return this.mem.get32(L.JC_BASE) + ((hash & (L.JC_ENTRIES - 1)) << L.JC_SHIFT);
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
    const table = this.#table;
    const numbers = [...(this.#tails.get(pfn) ?? []), ...table.takeFrame(pfn)];
    this.#tails.delete(pfn);
    this.mem.set64(L.CODE_BITMAP + pfn * 8, 0n);
    for (const number of numbers) {
      if (!table.isLive(number)) continue;
      const block = table.kill(number);
      this.#dead++;
      this.onDrop(block);
      this.writer.writeMark(block.record, HANDLER.unlinked, block.gva);
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
    this.#markBreakPages();
    for (const pfn of this.#table.framesOf(changed)) this.dropFrame(pfn);
  }
  /** The core leaves pages that may have breakpoints alone. */
  #markBreakPages(): void {
    this.mem.bytes.fill(0, L.BREAK_PAGES, L.BREAK_PAGES + L.BREAK_PAGES_BYTES);
    for (const gva of this.breakpoints) {
      const page = (gva >>> 12) & (8 * L.BREAK_PAGES_BYTES - 1);
      this.mem.bytes[L.BREAK_PAGES + (page >>> 3)]! |= 1 << (page & 7);
    }
  }
  /** Drops everything. */
  flush(): void {
    this.onFlush();
    for (const pfn of [...this.#table.clear(), ...this.#tails.keys()]) this.mem.set64(L.CODE_BITMAP + pfn * 8, 0n);
    this.#tails.clear();
    this.#held.fill(undefined);
    this.#heldRecords.fill(0);
    this.#dead = 0;
    this.generation++;
    for (let bank = 0; bank < L.TLB_BANKS; bank++) this.flushJumps(bank);
  }
}

/** Where a direct branch goes. */
function targetOf({ operands }: DecodedInstruction): number | undefined {
  for (const operand of operands) if (operand.kind === 'target') return toNumber(operand.gva);
  return undefined;
}

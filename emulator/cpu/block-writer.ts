/** Writes decoded instructions as records (records.ts) and picks the handler of each. */
import type { DecodedInstruction } from './decode.ts';
import { canDropFlags, FUSED_JUMP } from './interpreter/hot.ts';
import { legacyForm } from './code-segments.ts';
import type { CodeSegments } from './code-segments.ts';
import { CHECK_SEGMENT, FUSED, handlerKey } from './interpreter/keys.ts';
import type { HandlerTable } from './interpreter/keys.ts';
import type { MemoryOperand } from './instruction.ts';
import * as C from './code-layout.ts';
import * as L from './layout.ts';
import { writeGva } from './code-address.ts';
import { pageOf } from './fetch.ts';
import { HANDLER, layoutOf, LINEAR_32, RECORD_HANDLER, registerField, SEGMENT_CHECK_LAYOUT, STUB } from './records.ts';
import type { Addressing, RecordLayout } from './records.ts';
import type { LinearMemory } from './state.ts';
import { formKey } from './table/forms.ts';

const MODE_64 = 2;
const FS = 4;
const ALL_FLAGS = 'oszapc';
const ADDRESSINGS: readonly Addressing[] = ['g', 'b', 'x'];

/** How an instruction or a fused pair is laid out in records. */
export interface RecordPlan {
  readonly handler: number;
  /** Instructions of the handler: one, or the two of a fused pair. */
  readonly instructions: number;
  /** Of the record of each. */
  readonly layouts: readonly RecordLayout[];
  /** Bytes of all of it. */
  readonly bytes: number;
  /** Offset of the terminator from the first record, or -1 if it does not end the block. */
  readonly terminator: number;
  /** What the record before the first one's asks of the memory operand's segment (`segmentAccess`); 0: there is no such record. */
  readonly check: number;
}
/** Bytes of the record of a plan that checks an operand. */
export const checkBytes = ({ check }: RecordPlan): number => (check ? SEGMENT_CHECK_LAYOUT.size : 0);
/** Of what TypeScript executes: its operands are not read from here. */
const SYSTEM_LAYOUT: RecordLayout = { ...layoutOf({ op: '', size: 0, operands: [] }, 'g'), size: C.MARK_SIZE };

/** What the instructions of one shape and addressing have in common: found once, as names take time to make. */
export interface Shape {
  readonly key: string;
  readonly plan: RecordPlan;
  /** For when the flags it writes are dead; the same where that makes no difference. */
  readonly flagless: RecordPlan;
  /** Before each conditional jump, by its shape; undefined: no such pair. */
  readonly fused: Map<number, RecordPlan | undefined>;
  readonly canDropFlags: boolean;
  readonly writesAllFlags: boolean;
  /** Reads flags, or goes where they may be read. */
  readonly seesFlags: boolean;
  readonly harmless: boolean;
}

export class RecordWriter {
  readonly #handlers: ReadonlyMap<string, number>;
  readonly #needNext: ReadonlySet<number>;
  /** By shape and addressing. */
  readonly #shapes = new Map<number, Shape>();
  readonly #legacyShapes = new Map<string, Shape>();
  readonly #accesses: Readonly<Record<string, number>>;
  readonly #checkHandler: number;
  /** Handler of the jump that ends a block no branch ends. */
  readonly jumpHandler: number;

  constructor(
    readonly mem: LinearMemory,
    table: HandlerTable,
  ) {
    this.#handlers = new Map(Object.entries(table.handlers));
    this.#needNext = new Set(table.needNext);
    this.jumpHandler = this.#handlers.get('jmp/8/j')!;
    this.#checkHandler = this.#handlers.get(CHECK_SEGMENT)!;
    this.#accesses = table.accesses;
  }

  /** The records of a block: flags that are never read are dropped, a compare before the last jump is fused with it. */
  plan(insns: readonly DecodedInstruction[], mode: number, alone: boolean, segments?: CodeSegments): RecordPlan[] {
    const shapes = insns.map((insn) => (segments ? this.#legacyShape(insn, segments) : this.#shape(insn, mode)));
    const last = shapes.length - 1;
    const pair =
      last > 0 && insns[last]!.op === FUSED_JUMP ? this.#pair(shapes[last - 1]!, insns[last]!, mode) : undefined;
    const plans: RecordPlan[] = pair ? [pair] : [];
    let dead = false;
    for (let index = last; index >= 0; index--) {
      const shape = shapes[index]!;
      const dropped = dead && shape.canDropFlags && !alone;
      if (!pair || index < last - 1) plans.push(dropped ? shape.flagless : shape.plan);
      dead = deadBefore(shape, dead, dropped);
    }
    return plans.reverse();
  }

  /** In 64-bit mode. */
  shape(insn: DecodedInstruction): Shape {
    return this.#shape(insn, MODE_64);
  }
  /** Handler of the pair of an instruction and the conditional jump after it, or 0: no such pair. */
  pairHandler(first: Shape, condition: number): number {
    return this.#handlers.get(`${first.key}${FUSED}${FUSED_JUMP}/8/j/cc${condition}`) ?? 0;
  }
  #shape(insn: DecodedInstruction, mode: number): Shape {
    const memory = insn.operands.find((operand) => operand.kind === 'memory');
    const how = memory ? addressing(memory, mode) : 0;
    const number = insn.shape * ADDRESSINGS.length + how;
    let shape = this.#shapes.get(number);
    if (!shape) this.#shapes.set(number, (shape = this.#makeShape(insn, ADDRESSINGS[how]!)));
    return shape;
  }
  /** As `#shape` outside 64-bit mode. */
  #legacyShape(insn: DecodedInstruction, segments: CodeSegments): Shape {
    const legacy = legacyForm(insn, segments);
    const memory = insn.operands.find((operand) => operand.kind === 'memory');
    const check = memory !== undefined && !((segments.flat >> memory.segment) & 1);
    const variant = `${insn.shape} ${legacy ?? ''} ${check}`;
    let shape = this.#legacyShapes.get(variant);
    if (!shape) {
      const form = legacy === undefined ? insn : { ...insn, legacy };
      shape = this.#makeShape(form, 'g', check ? (this.#accesses[formKey(form)] ?? 0) : 0);
      this.#legacyShapes.set(variant, shape);
    }
    return shape;
  }
  #makeShape(insn: DecodedInstruction, how: Addressing, check = 0): Shape {
    const { row, operands } = insn;
    const key = handlerKey(formKey(insn), operands, how, false);
    const exact = this.#handlers.get(key);
    const handler = exact ?? this.#handlers.get(handlerKey(formKey(insn), operands, 'g', false)) ?? HANDLER.system;
    const used = exact === undefined ? 'g' : how;
    const plan = row.system ? SYSTEM_PLAN : this.#plan(insn, handler, used, check);
    const flagless = row.system ? undefined : this.#handlers.get(key + '!');
    return {
      key,
      plan,
      flagless: flagless === undefined ? plan : this.#plan(insn, flagless, used, check),
      fused: new Map(),
      canDropFlags: canDropFlags(row),
      writesAllFlags: [...ALL_FLAGS].every((flag) => row.writes?.includes(flag)),
      seesFlags: row.branch !== undefined || row.reads !== undefined,
      harmless: HARMLESS.has(row.op) && (row.op === 'lea' || operands.every((operand) => operand.kind !== 'memory')),
    };
  }
  #plan(insn: DecodedInstruction, handler: number, how: Addressing, check: number): RecordPlan {
    if (handler === HANDLER.system) return SYSTEM_PLAN;
    const layout = layoutOf(insn, how, insn.row.branch !== undefined, this.#needNext.has(handler));
    const first = check ? SEGMENT_CHECK_LAYOUT.size : 0;
    const terminator = layout.terminator < 0 ? -1 : first + layout.terminator;
    return { handler, instructions: 1, layouts: [layout], bytes: first + layout.size, terminator, check };
  }
  #pair(first: Shape, jump: DecodedInstruction, mode: number): RecordPlan | undefined {
    if (first.fused.has(jump.shape)) return first.fused.get(jump.shape);
    const handler = this.#handlers.get(first.key + FUSED + this.#shape(jump, mode).key);
    const plan = handler === undefined ? undefined : pairOf(handler, first.plan, this.#shape(jump, mode).plan);
    first.fused.set(jump.shape, plan);
    return plan;
  }

  /** Writes the records of the plan at `at`, all but links, count and countdown. `index`: its first instruction. */
  write(
    first: number,
    plan: RecordPlan,
    insns: readonly DecodedInstruction[],
    index: number,
    mode: number,
    base = 0,
  ): void {
    const { handler, layouts, bytes, check } = plan;
    clear(this.mem.u32, first >>> 2, bytes >>> 2);
    if (check) this.#writeCheck(first, insns[index]!, mode, check);
    const begin = first + checkBytes(plan);
    let at = begin;
    layouts.forEach((layout, offset) => {
      const insn = insns[index + offset]!;
      if (handler !== HANDLER.system) this.#writeOperands(at, insn, layout, mode);
      if (layout.next >= 0) {
        const rip = insn.gva + BigInt(insn.length - base);
        this.mem.set64(at + layout.next, BigInt.asUintN(mode === MODE_64 ? 64 : 32, rip));
      }
      at += layout.size;
    });
    this.mem.set16(begin + RECORD_HANDLER, handler);
  }

  /** The record that checks the memory operand of the instruction after it. */
  #writeCheck(at: number, { operands }: DecodedInstruction, mode: number, access: number): void {
    const operand = operands.find(({ kind }) => kind === 'memory') as MemoryOperand;
    this.#writeMemory(at, operand, SEGMENT_CHECK_LAYOUT, mode);
    this.mem.set32(at + SEGMENT_CHECK_LAYOUT.immediates[0]!, access);
    this.mem.set16(at + RECORD_HANDLER, this.#checkHandler);
  }

  #writeOperands(at: number, insn: DecodedInstruction, layout: RecordLayout, mode: number): void {
    const { mem } = this;
    let registers = 0;
    let immediates = 0;
    let memories = 0;
    for (const operand of insn.operands) {
      const register = registerField(operand);
      if (register !== undefined) mem.set16(at + layout.registers[registers++]!, register);
      else if (operand.kind === 'immediate') {
        const place = at + layout.immediates[immediates++]!;
        if (layout.immediateBytes === 8) mem.view.setBigInt64(place, operand.value, true);
        else mem.set32(place, Number(BigInt.asIntN(32, operand.value)));
      } else if (operand.kind === 'memory') {
        if (memories++) {
          mem.set16(at + layout.secondBase, registerAddress(operand.base));
          mem.set16(at + layout.secondSegment, segmentBase(operand, mode));
        } else this.#writeMemory(at, operand, layout, mode);
      }
    }
  }
  #writeMemory(at: number, operand: MemoryOperand, layout: RecordLayout, mode: number): void {
    const { mem } = this;
    mem.set16(at + layout.base, registerAddress(operand.base));
    if (layout.index >= 0) mem.set16(at + layout.index, registerAddress(operand.index) | operand.scale);
    if (layout.address >= 0)
      mem.bytes[at + layout.address] = (64 - operand.addressSize) | (mode === MODE_64 ? 0 : LINEAR_32);
    if (layout.segment >= 0) mem.set16(at + layout.segment, segmentBase(operand, mode));
    mem.view.setBigInt64(at + layout.displacement, operand.displacement, true);
  }

  /** A stub for the link at `cell` of a block at `from` in the frame `pfn`. */
  writeStub(at: number, handler: number, target: number, cell: number, from: number, pfn: number): void {
    this.writeMark(at, handler, target);
    this.mem.set32(at + STUB.cell, cell);
    this.mem.set32(at + STUB.pfn, pageOf(target) === pageOf(from) ? pfn : C.NO_FRAME);
    this.mem.set32(at + STUB.pfn + 4, 0);
  }
  /** A stub of no link, in place of a record. */
  writeMark(at: number, handler: number, target: number): void {
    this.mem.set32(at, handler);
    this.mem.set32(at + STUB.cell, 0);
    writeGva(this.mem, at + STUB.target, target);
  }
  /** The jump that ends a block no branch ends, but for count and link. */
  writeJump(at: number): void {
    this.writeMark(at, this.jumpHandler, 0);
  }
}

const SYSTEM_PLAN: RecordPlan = {
  handler: HANDLER.system,
  instructions: 1,
  layouts: [SYSTEM_LAYOUT],
  bytes: SYSTEM_LAYOUT.size,
  terminator: -1,
  check: 0,
};
function pairOf(handler: number, first: RecordPlan, jump: RecordPlan): RecordPlan {
  const layouts = [...first.layouts, ...jump.layouts];
  return {
    handler,
    instructions: 2,
    layouts,
    bytes: first.bytes + jump.bytes,
    terminator: first.bytes + jump.terminator,
    check: 0,
  };
}

/** Short: `fill` would take longer to begin. */
function clear(words: Uint32Array, from: number, count: number): void {
  for (let at = from; at < from + count; at++) words[at] = 0;
}

/** Index in ADDRESSINGS. */
function addressing(operand: MemoryOperand, mode: number): number {
  if (mode !== MODE_64 || operand.addressSize !== 64 || operand.segment >= FS) return 0;
  return operand.index < 0 ? 1 : 2;
}

const registerAddress = (register: number): number => (register < 0 ? L.ZERO : L.GPR + register * 8);

/** In 64-bit mode only FS and GS have a base (SDM 1 3.4.2.1). */
function segmentBase({ segment }: MemoryOperand, mode: number): number {
  return mode === MODE_64 && segment < FS ? L.ZERO : L.SEG + segment * L.SEG_STRIDE + L.SEG_BASE;
}

/**
 * Whether the flags are dead before an instruction, given whether they are after it: all are written again before anything can see them. They
 * are not if it can fault, since the handler of the fault sees flags.
 */
function deadBefore(shape: Shape, dead: boolean, dropped: boolean): boolean {
  // Only what is known to be harmless is taken not to fault: plain register arithmetic and moves.
  if (!shape.harmless) return false;
  if (dropped) return dead;
  return !shape.seesFlags && (shape.writesAllFlags || dead);
}

const HARMLESS = new Set(
  'mov movzx8 movzx16 movsx8 movsx16 movsxd lea add sub and or xor cmp test inc dec neg not shl shr sar rol ror imul2 imul3 cbw cwd nop bswap'.split(
    ' ',
  ),
);

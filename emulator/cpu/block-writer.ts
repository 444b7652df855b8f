/** Writes decoded instructions as records (records.ts) and picks the handler of each. */
import type { DecodedInstruction } from './decode.ts';
import { canDropFlags, FUSED_JUMP } from './interpreter/hot.ts';
import { legacyForm } from './code-segments.ts';
import type { CodeSegments } from './code-segments.ts';
import { CHECK_SEGMENT, FUSED, handlerKey } from './interpreter/keys.ts';
import type { HandlerTable } from './interpreter/keys.ts';
import type { MemoryOperand } from './instruction.ts';
import * as L from './layout.ts';
import { writeGva } from './code-address.ts';
import { pageOf } from './fetch.ts';
import {
  HANDLER,
  LINEAR_32,
  RECORD,
  registerField,
  SECOND_IMMEDIATE,
  SECOND_MEMORY,
  STUB,
  TERMINATOR,
  terminatorFollows,
} from './records.ts';
import type { Addressing } from './records.ts';
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
  /** Records it takes, its terminator included. */
  readonly records: number;
  /** Offset of the terminator from the first record, or -1 if it does not end the block. */
  readonly terminator: number;
  readonly needsNext: boolean;
  /** What the record before the first one's asks of the memory operand's segment (`segmentAccess`); 0: there is no such record. */
  readonly check: number;
}

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
    const handler =
      this.#handlers.get(key) ?? this.#handlers.get(handlerKey(formKey(insn), operands, 'g', false)) ?? HANDLER.system;
    const plan = this.#plan(insn, row.system ? HANDLER.system : handler, row.system ? 0 : check);
    const flagless = row.system ? undefined : this.#handlers.get(key + '!');
    return {
      key,
      plan,
      flagless: flagless === undefined ? plan : this.#plan(insn, flagless, check),
      fused: new Map(),
      canDropFlags: canDropFlags(row),
      writesAllFlags: [...ALL_FLAGS].every((flag) => row.writes?.includes(flag)),
      seesFlags: row.branch !== undefined || row.reads !== undefined,
      harmless: HARMLESS.has(row.op) && (row.op === 'lea' || operands.every((operand) => operand.kind !== 'memory')),
    };
  }
  #plan({ row, operands }: DecodedInstruction, handler: number, check: number): RecordPlan {
    const needsNext = this.#needNext.has(handler);
    const endsBlock = handler === HANDLER.system || row.branch !== undefined;
    const follows = endsBlock ? terminatorFollows(operands, needsNext) : needsNext;
    const first = check ? L.RECORD_SIZE : 0;
    const terminator = endsBlock ? first + (follows ? L.RECORD_SIZE : 0) : -1;
    return { handler, instructions: 1, records: (follows ? 2 : 1) + (check ? 1 : 0), terminator, needsNext, check };
  }
  #pair(first: Shape, jump: DecodedInstruction, mode: number): RecordPlan | undefined {
    if (first.fused.has(jump.shape)) return first.fused.get(jump.shape);
    const handler = this.#handlers.get(first.key + FUSED + this.#shape(jump, mode).key);
    const plan =
      handler === undefined
        ? undefined
        : { handler, instructions: 2, records: 2, terminator: L.RECORD_SIZE, needsNext: false, check: 0 };
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
    const { handler, instructions, records, terminator, needsNext, check } = plan;
    clear(this.mem.u32, first >>> 2, (records * L.RECORD_SIZE) >>> 2);
    if (check) this.#writeCheck(first, insns[index]!, mode, check);
    const at = check ? first + L.RECORD_SIZE : first;
    for (let i = 0; i < instructions; i++) this.#writeOperands(at + i * L.RECORD_SIZE, insns[index + i]!, mode);
    this.mem.set16(at + RECORD.handler, handler);
    if (needsNext) {
      const insn = insns[index]!;
      const next = terminator > 0 ? first + terminator : at + L.RECORD_SIZE;
      const rip = insn.gva + BigInt(insn.length - base);
      this.mem.set64(next + TERMINATOR.next, BigInt.asUintN(mode === MODE_64 ? 64 : 32, rip));
    }
  }

  /** The record that checks the memory operand of the instruction after it. */
  #writeCheck(at: number, { operands }: DecodedInstruction, mode: number, access: number): void {
    this.#writeMemory(
      at,
      operands.find((operand) => operand.kind === 'memory')!,
      mode,
    );
    this.mem.set32(at + RECORD.immediate, access);
    this.mem.set16(at + RECORD.handler, this.#checkHandler);
  }

  #writeOperands(at: number, insn: DecodedInstruction, mode: number): void {
    const { mem } = this;
    let registers = 0;
    let immediates = 0;
    let memories = 0;
    for (const operand of insn.operands) {
      const register = registerField(operand);
      if (register !== undefined) mem.set16(at + RECORD.registers[registers++]!, register);
      else if (operand.kind === 'immediate') {
        mem.view.setBigInt64(at + (immediates++ ? SECOND_IMMEDIATE : RECORD.immediate), operand.value, true);
      } else if (operand.kind === 'memory') {
        if (memories++) {
          mem.set16(at + SECOND_MEMORY.base, registerAddress(operand.base));
          mem.set16(at + SECOND_MEMORY.segment, segmentBase(operand, mode));
        } else this.#writeMemory(at, operand, mode);
      }
    }
  }
  #writeMemory(at: number, operand: MemoryOperand, mode: number): void {
    const { mem } = this;
    mem.set16(at + RECORD.base, registerAddress(operand.base));
    mem.set16(at + RECORD.index, registerAddress(operand.index));
    mem.bytes[at + RECORD.scale] = operand.scale;
    mem.bytes[at + RECORD.address] = (64 - operand.addressSize) | (mode === MODE_64 ? 0 : LINEAR_32);
    mem.set16(at + RECORD.segment, segmentBase(operand, mode));
    mem.view.setBigInt64(at + RECORD.displacement, operand.displacement, true);
  }

  /** A stub; for the link at `cell`, if not 0, of a block at `from` in the frame `pfn`. */
  writeStub(at: number, handler: number, target: number, cell: number, from = 0, pfn = 0): void {
    const { mem } = this;
    mem.set32(at, handler);
    mem.set32(at + 4, 0);
    writeGva(mem, at + STUB.target, target);
    mem.set32(at + STUB.cell, cell);
    mem.set32(at + STUB.pfn, pfn);
    writeGva(mem, at + STUB.page, pageOf(from));
  }
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

/** Writes decoded instructions as records (records.ts) and picks the handler of each. */
import type { DecodedInstruction } from './decode.ts';
import { canDropFlags, FUSED_JUMP } from './interpreter/hot.ts';
import { FUSED, handlerKey } from './interpreter/keys.ts';
import type { HandlerTable } from './interpreter/keys.ts';
import type { MemoryOperand } from './instruction.ts';
import * as L from './layout.ts';
import { writeGva } from './fetch.ts';
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

/** What is known of an instruction when its records are laid out. */
export interface PlannedRecord {
  readonly handler: number;
  /** The instructions of the record: one, or a fused pair. */
  readonly insns: readonly DecodedInstruction[];
  /** Records it takes, its terminator included. */
  readonly records: number;
  /** Offset of the terminator from the first record, or -1 if it does not end the block. */
  readonly terminator: number;
  readonly needsNext: boolean;
}

export class RecordWriter {
  readonly #handlers: ReadonlyMap<string, number>;
  readonly #needNext: ReadonlySet<number>;
  /** Handler of the jump that ends a block no branch ends. */
  readonly jumpHandler: number;

  constructor(
    readonly mem: LinearMemory,
    table: HandlerTable,
  ) {
    this.#handlers = new Map(Object.entries(table.handlers));
    this.#needNext = new Set(table.needNext);
    this.jumpHandler = this.#handlers.get('jmp/8/j')!;
  }

  /** The records of a block: flags that are never read are dropped, a compare before the last jump is fused with it. */
  plan(insns: readonly DecodedInstruction[], mode: number, alone: boolean): PlannedRecord[] {
    const dead = alone ? insns.map(() => false) : deadFlags(insns);
    const plans: PlannedRecord[] = [];
    const last = insns.length - 1;
    for (let index = 0; index <= last; index++) {
      const insn = insns[index]!;
      if (index === last - 1 && insns[last]!.op === FUSED_JUMP) {
        const handler = this.#handlers.get(this.#key(insn, mode) + FUSED + this.#key(insns[last]!, mode));
        if (handler !== undefined) {
          plans.push({ handler, insns: [insn, insns[last]!], records: 2, terminator: L.RECORD_SIZE, needsNext: false });
          break;
        }
      }
      plans.push(this.#planOne(insn, mode, dead[index]!));
    }
    return plans;
  }

  #planOne(insn: DecodedInstruction, mode: number, dropFlags: boolean): PlannedRecord {
    const handler = this.#handler(insn, mode, dropFlags);
    const needsNext = this.#needNext.has(handler);
    const endsBlock = handler === HANDLER.system || insn.row.branch !== undefined;
    const follows = endsBlock ? terminatorFollows(insn.operands, needsNext) : needsNext;
    const terminator = endsBlock ? (follows ? L.RECORD_SIZE : 0) : -1;
    return { handler, insns: [insn], records: follows ? 2 : 1, terminator, needsNext };
  }

  #handler(insn: DecodedInstruction, mode: number, dropFlags: boolean): number {
    if (insn.row.system) return HANDLER.system;
    const key = this.#key(insn, mode);
    const flagless = dropFlags ? this.#handlers.get(key + '!') : undefined;
    return (
      flagless ??
      this.#handlers.get(key) ??
      this.#handlers.get(handlerKey(formKey(insn), insn.operands, 'g', false)) ??
      HANDLER.system
    );
  }
  #key(insn: DecodedInstruction, mode: number): string {
    const memory = insn.operands.find((operand) => operand.kind === 'memory');
    return handlerKey(formKey(insn), insn.operands, memory ? addressing(memory, mode) : 'g', false);
  }

  /** Writes the records of one planned step at `at`, all but links, count and countdown. */
  write(at: number, { handler, insns, records, terminator, needsNext }: PlannedRecord, mode: number): void {
    this.mem.bytes.fill(0, at, at + records * L.RECORD_SIZE);
    insns.forEach((insn, index) => this.#writeOperands(at + index * L.RECORD_SIZE, insn, mode));
    this.mem.set16(at + RECORD.handler, handler);
    if (needsNext) {
      const insn = insns[0]!;
      this.mem.set64(
        at + (terminator > 0 ? terminator : L.RECORD_SIZE) + TERMINATOR.next,
        BigInt.asUintN(64, insn.gva + BigInt(insn.length)),
      );
    }
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

  /** A stub for the link at `cell`. */
  writeStub(at: number, handler: number, target: number, cell: number): void {
    this.mem.bytes.fill(0, at, at + L.RECORD_SIZE);
    this.mem.set16(at + STUB.handler, handler);
    writeGva(this.mem, at + STUB.target, target);
    this.mem.set32(at + STUB.cell, cell);
  }
}

function addressing(operand: MemoryOperand, mode: number): Addressing {
  if (mode !== MODE_64 || operand.addressSize !== 64 || operand.segment >= FS) return 'g';
  return operand.index < 0 ? 'b' : 'x';
}

const registerAddress = (register: number): number => (register < 0 ? L.ZERO : L.GPR + register * 8);

/** In 64-bit mode only FS and GS have a base (SDM 1 3.4.2.1). */
function segmentBase({ segment }: MemoryOperand, mode: number): number {
  return mode === MODE_64 && segment < FS ? L.ZERO : L.SEG + segment * L.SEG_STRIDE + L.SEG_BASE;
}

/**
 * For each instruction, whether the flags it writes are all written again before anything can see them: not if an instruction between can fault, since
 * the handler of the fault sees flags.
 */
function deadFlags(insns: readonly DecodedInstruction[]): boolean[] {
  const result: boolean[] = [];
  let dead = false;
  for (let index = insns.length - 1; index >= 0; index--) {
    const { row, operands } = insns[index]!;
    const dropped = dead && canDropFlags(row);
    result[index] = dropped;
    if (!dropped) {
      const writesAll = [...ALL_FLAGS].every((flag) => row.writes?.includes(flag));
      if (row.branch !== undefined || row.reads !== undefined) dead = false;
      else if (writesAll) dead = true;
    }
    // Only what is known to be harmless is taken not to fault: plain register arithmetic and moves.
    if (!HARMLESS.has(row.op) || operands.some((operand) => operand.kind === 'memory' && row.op !== 'lea'))
      dead = false;
  }
  return result;
}

const HARMLESS = new Set(
  'mov movzx8 movzx16 movsx8 movsx16 movsxd lea add sub and or xor cmp test inc dec neg not shl shr sar rol ror imul2 imul3 cbw cwd nop bswap'.split(
    ' ',
  ),
);

/**
 * Templates: what 64-bit instructions with the same head (prefixes, opcode, what ModRM says beside registers and addresses) have in common. One is made from the
 * first such instruction that the decoder meets; from then on the core fills it in by itself (core/code-build.ts).
 */
import * as C from './code-layout.ts';
import { FUSED_JUMP, fusedConditions } from './interpreter/hot.ts';
import type { CoreExports } from './context.ts';
import { GENERAL_VEX, ModrmUse, Read, type DecodeTable } from './decode-table.ts';
import type { DecodedInstruction } from './decode.ts';
import type { CodeContext } from './fpu-traps.ts';
import { AVX_ENABLED } from './fpu-traps.ts';
import * as L from './layout.ts';
import { Prefix, PREFIXES } from './prefixes.ts';
import { HANDLER, registerField } from './records.ts';
import type { RecordLayout } from './records.ts';
import type { RecordWriter, Shape } from './block-writer.ts';
import type { LinearMemory } from './state.ts';
import { shiftByZero } from './table/shifts.ts';

const MODE_64 = 2;
const PAGE = 4096;
/** Longest instruction, in bytes. */
const LONGEST = 15;
const OPCODES = 256;
const NOP = 0x90;

const HEAD_OF_USE: Readonly<Record<ModrmUse, number>> = {
  [ModrmUse.None]: C.HEAD_NO_MODRM,
  [ModrmUse.Kind]: C.HEAD_KIND,
  [ModrmUse.Reg]: C.HEAD_REG,
  [ModrmUse.Exact]: C.HEAD_EXACT,
  [ModrmUse.Mixed]: C.HEAD_LEFT,
};
const HEAD_OF_PREFIX: Readonly<Record<Prefix, number>> = {
  [Prefix.None]: 0,
  [Prefix.Rex]: C.HEAD_REX,
  [Prefix.OperandSize]: C.HEAD_OPERAND_SIZE,
  // Addresses of 32 bits are rare.
  [Prefix.AddressSize]: C.HEAD_LEFT,
  [Prefix.Lock]: C.HEAD_LOCK,
  [Prefix.Repeat]: C.HEAD_REPEAT,
  [Prefix.Segment]: C.HEAD_IGNORED,
};

/** Where register operands come from. */
const SELECTORS: Readonly<Partial<Record<Read, number>>> = {
  [Read.RmByte]: C.SELECT_BYTE + C.SOURCE_RM,
  [Read.Rm]: C.SELECT_GPR + C.SOURCE_RM,
  [Read.XmmRm]: C.SELECT_XMM + C.SOURCE_RM,
  [Read.YmmRm]: C.SELECT_XMM + C.SOURCE_RM,
  [Read.MmxRm]: C.SELECT_MMX + C.SOURCE_RM,
  [Read.RegByte]: C.SELECT_BYTE + C.SOURCE_REG,
  [Read.Reg]: C.SELECT_GPR + C.SOURCE_REG,
  [Read.Xmm]: C.SELECT_XMM + C.SOURCE_REG,
  [Read.Ymm]: C.SELECT_XMM + C.SOURCE_REG,
  [Read.Mmx]: C.SELECT_MMX + C.SOURCE_REG,
  [Read.OpcodeByte]: C.SELECT_BYTE + C.SOURCE_OPCODE,
  [Read.Opcode]: C.SELECT_GPR + C.SOURCE_OPCODE,
  [Read.RegVex]: C.SELECT_GPR + C.SOURCE_VVVV,
  [Read.XmmVex]: C.SELECT_XMM + C.SOURCE_VVVV,
  [Read.YmmVex]: C.SELECT_XMM + C.SOURCE_VVVV,
  [Read.Sti]: C.SELECT_ST + C.SOURCE_RM,
  // The same in every instruction with this head.
  [Read.St0]: 0,
  [Read.Accumulator]: 0,
  [Read.Count]: 0,
  [Read.Port]: 0,
  [Read.Xmm0]: 0,
};
/** What else there may be, and is the same in every instruction with this head. */
const CONSTANT: ReadonlySet<Read> = new Set([
  Read.One,
  Read.StringSource,
  Read.StringDestination,
  Read.BxByte,
  Read.DiByte,
]);

/** The operands of a template. */
interface Operands {
  readonly registers: readonly number[];
  readonly immediate: number;
  readonly distance: number;
  readonly memory: boolean;
}

export class Templates {
  constructor(
    readonly mem: LinearMemory,
    readonly core: CoreExports,
    readonly table: DecodeTable,
    readonly writer: RecordWriter,
  ) {
    PREFIXES[MODE_64]!.forEach((prefix, byte) => {
      mem.bytes[L.HEADS + byte] = HEAD_OF_PREFIX[prefix as Prefix];
    });
    mem.bytes[L.HEADS + 0x64] = mem.bytes[L.HEADS + 0x65] = C.HEAD_SEGMENT;
    mem.bytes[L.HEADS + 0x0f] = C.HEAD_ESCAPE;
    mem.bytes[L.HEADS + 0xc5] = C.HEAD_VEX2;
    mem.bytes[L.HEADS + 0xc4] = C.HEAD_VEX3;
  }

  /** Whether there are templates in a context: 64-bit mode with x87 and SSE. */
  static serve(context: CodeContext): boolean {
    return (context & ~AVX_ENABLED) === MODE_64;
  }

  /** Makes the template of an instruction, whose bytes are at `host`, unless it has one. */
  learn(insn: DecodedInstruction, host: number, context: CodeContext): void {
    if (!Templates.serve(context) || (host & (PAGE - 1)) > PAGE - LONGEST) return;
    const head = this.core.headAt(host);
    if (head < 0) return;
    const { bytes } = this.mem;
    if (bytes[L.HEADS + head] === 0) {
      const map = Math.floor(head / OPCODES);
      const vex = map >= C.FIRST_VEX_MAP;
      const use = this.table.modrmUse(vex ? map - C.FIRST_VEX_MAP + 1 : map, head % OPCODES, vex);
      bytes[L.HEADS + head] = HEAD_OF_USE[use];
    }
    const template = this.core.newTemplate(host);
    if (template !== 0) this.#fill(template, insn, head);
  }

  #fill(at: number, insn: DecodedInstruction, head: number): void {
    const { row, compiled } = insn;
    if (row.system || row === shiftByZero || compiled.vectorIndex || compiled.ignoresMod) return;
    // With REX.B it is another instruction.
    if (head === NOP && this.mem.get32(at + C.TEMPLATE_KEY) & C.KEY_REX) return;
    const operands = operandsOf(insn);
    if (!operands) return;
    const shape = this.writer.shape(insn);
    const { plan, flagless } = shape;
    const [layout] = plan.layouts as [RecordLayout];
    const alike = plan.bytes === flagless.bytes && layout.next === flagless.layouts[0]!.next;
    if (plan.handler === HANDLER.system || !alike) return;
    const { mem } = this;
    mem.bytes.fill(0, at + C.TEMPLATE_FUSED, at + C.TEMPLATE_SIZE);
    this.writer.write(at + C.TEMPLATE_IMAGE, plan, [insn], 0, MODE_64);
    operands.registers.forEach((selector, index) => {
      mem.bytes[at + C.TEMPLATE_REGISTERS + index] = selector;
    });
    mem.bytes[at + C.TEMPLATE_IMMEDIATE] = operands.immediate;
    mem.bytes[at + C.TEMPLATE_DISTANCE] = operands.distance;
    const counts = compiled.shift && operands.immediate !== 0;
    mem.bytes[at + C.TEMPLATE_COUNT_MASK] = counts ? (insn.size === 8 ? 63 : 31) : 0;
    mem.bytes[at + C.TEMPLATE_CONDITION] = insn.condition ?? 0;
    mem.set32(at + C.TEMPLATE_FLAGS, flagsOf(insn, shape, operands));
    mem.set16(at + C.TEMPLATE_FLAGLESS, flagless.handler);
    mem.set16(at + C.TEMPLATE_BYTES, plan.bytes);
    this.#place(at, layout);
    mem.set16(at + C.TEMPLATE_TERMINATOR, Math.max(plan.terminator, 0));
    if (plan.terminator < 0 && layout.next < 0)
      for (const condition of fusedConditions(insn))
        mem.set16(at + C.TEMPLATE_FUSED + condition * 2, this.writer.pairHandler(shape, condition));
    mem.set16(at + C.TEMPLATE_HANDLER, plan.handler);
  }
  /** Where the fields of its record stand. */
  #place(at: number, layout: RecordLayout): void {
    const { bytes } = this.mem;
    const put = (to: number, field: number | undefined): void => {
      bytes[at + to] = Math.max(field ?? 0, 0);
    };
    put(C.TEMPLATE_BASE, layout.base);
    put(C.TEMPLATE_INDEX, layout.index);
    put(C.TEMPLATE_IMMEDIATE_AT, layout.immediates[0]);
    put(C.TEMPLATE_DISPLACEMENT, layout.displacement);
    put(C.TEMPLATE_NEXT, layout.next);
  }
}

function flagsOf({ row, op, compiled }: DecodedInstruction, shape: Shape, operands: Operands): number {
  const { plan } = shape;
  const needsAvx = row.vex !== undefined && !GENERAL_VEX.has(row.feature);
  return (
    (plan.terminator >= 0 ? C.FLAG_ENDS : 0) |
    (operands.distance ? C.FLAG_TARGET : 0) |
    (op === FUSED_JUMP ? C.FLAG_JUMPS : 0) |
    (shape.canDropFlags ? C.FLAG_DROPPABLE : 0) |
    (shape.writesAllFlags ? C.FLAG_WRITES_ALL : 0) |
    (shape.seesFlags ? C.FLAG_SEES_FLAGS : 0) |
    (shape.harmless ? C.FLAG_HARMLESS : 0) |
    (operands.memory ? C.FLAG_MEMORY : 0) |
    (plan.layouts[0]!.immediateBytes === 8 ? C.FLAG_WIDE_IMMEDIATE : 0) |
    (compiled.usesVvvv ? C.FLAG_VVVV : 0) |
    (needsAvx ? C.FLAG_AVX : 0)
  );
}

/** Undefined if an operand cannot be read by a template. */
function operandsOf({ compiled, operands, size }: DecodedInstruction): Operands | undefined {
  const registers: number[] = [];
  let immediate = 0;
  let distance = 0;
  let memory = false;
  for (const [index, read] of compiled.reads.entries()) {
    const operand = operands[index]!;
    const selector = SELECTORS[read];
    if (selector !== undefined) {
      if (operand.kind === 'memory') memory = true;
      else if (registerField(operand) === undefined) return undefined;
      else registers.push(selector);
    } else if (operand.kind === 'immediate' && read !== Read.One) {
      if (immediate !== 0) return undefined;
      immediate = immediateKind(read, size);
      if (immediate === 0) return undefined;
    } else if (operand.kind === 'target') {
      distance = immediateKind(read, size);
      if (distance === 0) return undefined;
    } else if (!CONSTANT.has(read)) return undefined;
  }
  return { registers, immediate, distance, memory };
}

/** IMMEDIATE_*, or 0. */
function immediateKind(read: Read, size: number): number {
  switch (read) {
    case Read.ImmediateUnsigned8:
      return C.IMMEDIATE_UNSIGNED_8;
    case Read.ImmediateUnsigned16:
      return C.IMMEDIATE_UNSIGNED_16;
    case Read.ImmediateSigned8:
    case Read.TargetByte:
      return C.IMMEDIATE_SIGNED_8;
    case Read.ImmediateZ:
      return size === 2 ? C.IMMEDIATE_SIGNED_16 : C.IMMEDIATE_SIGNED_32;
    case Read.ImmediateV:
      return size === 8 ? C.IMMEDIATE_64 : size === 2 ? C.IMMEDIATE_SIGNED_16 : C.IMMEDIATE_SIGNED_32;
    case Read.TargetZ:
      return size === 2 ? 0 : C.IMMEDIATE_SIGNED_32;
    default:
      return 0;
  }
}

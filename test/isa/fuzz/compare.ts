/** Compares how a case ended on the host and in the emulator. */
import { GPR_NAMES } from '../../../emulator/cpu/register-names.ts';
import { hasUndefinedResult, undefinedFlags } from '../support/undefined-flags.ts';
import type { DecodedInstruction } from '../../../emulator/cpu/decode.ts';
import type { MemoryOperand } from '../../../emulator/cpu/instruction.ts';
import type { Batch } from './batch.ts';
import type { EmulatedCpu } from './emulated.ts';
import * as F from './layout.ts';
import { memoryOperand, unknownAt } from './program.ts';
import type { Program } from './program.ts';

/** FS; GS is the next. */
const FIRST_BASED_SEGMENT = 4;
const C1 = 0x200;
const COMPARES = 0x8d5;
const ENTERS_MMX = /^(cvtpi2.*|cvt.*2pi|maskmovq)$/;
/** In the third byte. */
const MISALIGNED_MODE = 2;
const VECTOR_GP = 13;
const VECTOR_PF = 14;
const MASKED = /^vp?maskmov/;
const BIT_TEST = /^bt[src]?$/;
const KERNEL = 0x7fff_ffff_f000n;
/** FCOMI clears C1 on Intel processors and leaves it on AMD's. */
const LEAVES_C1 = /^fu?comip?$/;

interface Part {
  readonly name: string;
  readonly at: number;
  readonly bytes: number;
}
const numbered = (name: string, at: number, count: number, bytes: number): Part[] =>
  Array.from({ length: count }, (_, i) => ({ name: `${name}${i}`, at: at + i * 16, bytes }));

/** Every part of a state, by name. */
export const PARTS: readonly Part[] = [
  { name: 'vector', at: F.AT_VECTOR, bytes: 8 },
  { name: 'error', at: F.AT_ERROR, bytes: 8 },
  { name: 'address', at: F.AT_ADDRESS, bytes: 8 },
  { name: 'rip', at: F.AT_RIP, bytes: 8 },
  ...GPR_NAMES.map((name, i) => ({ name, at: i * 8, bytes: 8 })),
  { name: 'flags', at: F.AT_RFLAGS, bytes: 8 },
  { name: 'fsbase', at: F.AT_FS_BASE, bytes: 8 },
  { name: 'gsbase', at: F.AT_GS_BASE, bytes: 8 },
  { name: 'fcw', at: F.X_FCW, bytes: 2 },
  { name: 'fsw', at: F.X_FSW, bytes: 2 },
  { name: 'ftw', at: F.X_FTW, bytes: 1 },
  { name: 'mxcsr', at: F.X_MXCSR, bytes: 4 },
  ...numbered('st', F.X_ST, 8, 10),
  ...numbered('xmm', F.X_XMM, 16, 16),
  ...numbered('ymmh', F.X_YMM, 16, 16),
];

const isCanonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;

const registerOf = (state: DataView, register: number): bigint =>
  register < 0 ? 0n : state.getBigUint64(register * 8, true);
const offsetOf = ({ base, index, scale, displacement }: MemoryOperand, state: DataView): bigint =>
  registerOf(state, base) + (registerOf(state, index) << BigInt(scale)) + displacement;

/** With a 32-bit address, AMD processors go on at 0 with the elements of a masked move that lie beyond 4 GB; the SDM does not say. */
function maskedAcross4GB(insn: DecodedInstruction, state: DataView): boolean {
  const memory = memoryOperand(insn);
  if (!MASKED.test(insn.op) || memory?.addressSize !== 32) return false;
  return BigInt.asUintN(32, offsetOf(memory, state)) + BigInt(insn.size) > 1n << 32n;
}

/**
 * AMD processors fault when base, index and displacement (and the offset of a bit test) do not add up to a canonical address, though with the base of FS
 * or GS they do. By the SDM (1 3.3.7.1) only the linear address counts. `state` is that at the instruction.
 */
function onlyOffsetNotCanonical(insn: DecodedInstruction, state: DataView): boolean {
  const memory = memoryOperand(insn);
  if (!memory || memory.segment < FIRST_BASED_SEGMENT || memory.addressSize !== 64) return false;
  let offset = offsetOf(memory, state);
  const index = insn.operands[1];
  if (BIT_TEST.test(insn.op) && index?.kind === 'gpr') {
    const bits = insn.size * 8;
    offset += (BigInt.asIntN(bits, registerOf(state, index.register)) >> BigInt(Math.log2(bits))) * BigInt(insn.size);
  }
  const base = state.getBigUint64(memory.segment === FIRST_BASED_SEGMENT ? F.AT_FS_BASE : F.AT_GS_BASE, true);
  return !isCanonical(BigInt.asUintN(64, offset)) && isCanonical(BigInt.asUintN(64, base + offset));
}

/** Bytes as a number, most significant first. */
export function valueOf(bytes: Uint8Array, { at, bytes: count }: Part): string {
  let text = '';
  for (let i = count - 1; i >= 0; i--) text += bytes[at + i]!.toString(16).padStart(2, '0');
  return text.replace(/^0+(?=.)/, '');
}

export interface Difference {
  readonly part: string;
  readonly expected: string;
  readonly got: string;
}

export class Comparer {
  /** What memory should be. */
  readonly #expected: Uint8Array;
  readonly #left = Buffer.alloc(F.STATE_BYTES);
  readonly #leftView = new DataView(this.#left.buffer, this.#left.byteOffset);
  readonly #right = Buffer.alloc(F.STATE_BYTES);
  readonly #rightView = new DataView(this.#right.buffer, this.#right.byteOffset);

  constructor(readonly batch: Batch) {
    this.#expected = batch.pages.slice();
  }

  /** Runs a case of the batch and compares; undefined if all is alike. Memory is put back. */
  run(cpu: EmulatedCpu, index: number, stepped: boolean): readonly Difference[] | undefined {
    const { batch } = this;
    cpu.run(batch.state(index), batch.patches(index), stepped);
    const program = batch.programOf[index]!;
    if (this.#isHostsOwn(program, index)) {
      cpu.pages.set(batch.pages);
      return undefined;
    }
    const found = this.#states(batch.outcome(index), cpu.out, program, index);
    const memory = batch.overflowed(index) ? undefined : this.#memory(cpu, index);
    cpu.pages.set(batch.pages);
    return found || memory ? [...(found ?? []), ...(memory ?? [])] : undefined;
  }

  /** What an AMD host does otherwise than the SDM, altogether. */
  #isHostsOwn(program: Program, index: number): boolean {
    const host = this.batch.outcome(index);
    // A bit 17 in MXCSR: MOVAPS and the like without alignment.
    if ((host[F.X_MXCSR + 2]! & MISALIGNED_MODE) !== 0) return true;
    const vector = this.batch.vector(index);
    const insn = vector === VECTOR_GP || vector === VECTOR_PF ? this.#insnAt(program, index) : undefined;
    if (!insn) return false;
    const state = new DataView(host.buffer, host.byteOffset);
    return vector === VECTOR_GP ? onlyOffsetNotCanonical(insn, state) : maskedAcross4GB(insn, state);
  }
  /** Where the host stopped; undefined at the end. */
  #insnAt(program: Program, index: number): DecodedInstruction | undefined {
    return program.instructions.find(({ offset }) => program.address + offset === this.batch.rip(index))?.insn;
  }

  #states(host: Uint8Array, ours: Uint8Array, program: Program, index: number): readonly Difference[] | undefined {
    this.#left.set(host);
    this.#right.set(ours);
    const flags = F.COMPARED_FLAGS & ~this.#unknown(program, index);
    for (const view of [this.#leftView, this.#rightView]) {
      view.setUint32(F.AT_RFLAGS, view.getUint32(F.AT_RFLAGS, true) & flags, true);
      view.setUint32(F.AT_RFLAGS + 4, 0, true);
      if (program.instructions.some(({ insn }) => insn && LEAVES_C1.test(insn.op)))
        view.setUint16(F.X_FSW, view.getUint16(F.X_FSW, true) & ~C1, true);
    }
    const at = this.#insnAt(program, index);
    // Whether a conversion that traps or a store that faults has already entered MMX state differs between processors.
    if (at && this.batch.vector(index) !== F.NO_VECTOR && ENTERS_MMX.test(at.op))
      for (const state of [this.#left, this.#right]) state.fill(0, F.X_FCW, F.X_FTW + 1).fill(0, F.X_ST, F.X_XMM);
    const faults = (view: DataView): boolean => view.getUint32(F.AT_VECTOR, true) !== F.NO_VECTOR;
    // Which of two operands faults first is not said.
    if (at?.op === 'cmps' && faults(this.#leftView) && faults(this.#rightView))
      this.#right.set(this.#left.subarray(F.AT_VECTOR, F.AT_ADDRESS + 8), F.AT_VECTOR);
    // Linux says of its own addresses that something is there.
    if (this.#leftView.getBigUint64(F.AT_ADDRESS, true) >= KERNEL) this.#right[F.AT_ERROR]! |= 1;
    if (this.#left.equals(this.#right)) return undefined;
    const found = PARTS.map((part) => ({
      part: part.name,
      expected: valueOf(this.#left, part),
      got: valueOf(this.#right, part),
    }));
    return found.filter(({ expected, got }) => expected !== got);
  }

  #unknown(program: Program, index: number): number {
    const { batch } = this;
    const insn = program.instructions[0]?.insn;
    if (program.instructions.length > 1 || !insn) return unknownAt(program, batch.rip(index));
    // Intel processors restore the flags when a repeated compare faults, AMD's do not (SDM 2B REP).
    if (batch.rip(index) === program.address) return insn.rep !== 'none' ? COMPARES : 0;
    const state = batch.state(index);
    const gpr = new BigUint64Array(state.buffer, state.byteOffset, 16);
    return hasUndefinedResult(insn, gpr) ? F.COMPARED_FLAGS : undefinedFlags(insn, gpr);
  }

  #memory(cpu: EmulatedCpu, index: number): Difference[] | undefined {
    const expected = this.#expected;
    this.batch.applyChanges(index, expected);
    const { pages } = cpu;
    let found: Difference[] | undefined;
    if (Buffer.compare(expected, pages) !== 0) {
      found = [];
      for (let at = 0; at < F.DATA_BYTES && found.length < 8; at += 8) {
        const part = { name: `mem@${(F.DATA + at).toString(16)}`, at, bytes: 8 };
        const [host, ours] = [valueOf(expected, part), valueOf(pages, part)];
        if (host !== ours) found.push({ part: part.name, expected: host, got: ours });
      }
    }
    this.batch.undoChanges(index, expected);
    return found;
  }
  /** After the pages of the batch were changed. */
  pagesChanged(): void {
    this.#expected.set(this.batch.pages);
  }
}

/** FXSAVE and FXRSTOR (SDM 1 10.5, SDM 2A "FXSAVE"). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import * as L from '../layout.ts';
import { Vector, generalProtection, raise, undefinedOpcode } from './fault.ts';
import { hex, linearAddress, readLinear, writeLinear } from './memory.ts';

const AREA = 512;
/** The last 48 bytes of the first 464 belong to software; the rest is written by FXSAVE. */
const WRITTEN = 416;
const REGISTERS = 32;
const XMM_AREA = 160;
const CR0_EM_TS = 0xcn;
const CR4_OSFXSR = 0x200n;
const MXCSR_MASK = 0xffff;
const EMPTY = 3;

function area(context: CpuContext, instruction: Instruction): bigint {
  const [operand] = instruction.operands;
  if (operand?.kind !== 'memory') undefinedOpcode('FXSAVE and FXRSTOR need a memory operand');
  if (context.cpu.cr0 & CR0_EM_TS) raise(Vector.NM, undefined, 'CR0.EM or CR0.TS is set');
  const gva = linearAddress(context, operand, AREA);
  if (gva & 15n) generalProtection(`FXSAVE area ${hex(gva)} is not a multiple of 16`);
  return gva;
}

/** One bit a physical register: 1 = not empty. */
function abridgedTag(tag: number): number {
  let bits = 0;
  for (let i = 0; i < 8; i++) if (((tag >> (i * 2)) & 3) !== EMPTY) bits |= 1 << i;
  return bits;
}

/** The full tag word from the registers' contents (SDM 1 8.1.7): 0 valid, 1 zero, 2 special, 3 empty. */
function fullTag(image: DataView, abridged: number, top: number): number {
  let tag = 0;
  for (let physical = 0; physical < 8; physical++) {
    const at = REGISTERS + ((physical - top) & 7) * 16;
    const kind =
      abridged & (1 << physical)
        ? classify(image.getBigUint64(at, true), image.getUint16(at + 8, true) & 0x7fff)
        : EMPTY;
    tag |= kind << (physical * 2);
  }
  return tag;
}

function classify(significand: bigint, exponent: number): number {
  if (exponent === 0) return significand === 0n ? 1 : 2;
  return exponent === 0x7fff || !(significand >> 63n) ? 2 : 0;
}

/** The image in the layout of `size` 8 (REX.W: 64-bit pointers) or 4. */
export function buildFxsave(context: CpuContext, wide: boolean): Uint8Array {
  const { mem } = context;
  const bytes = new Uint8Array(AREA);
  const image = new DataView(bytes.buffer);
  const top = mem.get32(L.X87_TOP) & 7;
  image.setUint16(0, mem.get32(L.X87_CW), true);
  image.setUint16(2, (mem.get32(L.X87_SW) & ~0x3800) | (top << 11), true);
  image.setUint8(4, abridgedTag(mem.get32(L.X87_TAG)));
  image.setUint16(6, mem.get32(L.X87_LAST_OPCODE) & 0x7ff, true);
  setPointer(image, 8, mem.get64(L.X87_LAST_IP), wide);
  setPointer(image, 16, mem.get64(L.X87_LAST_DP), wide);
  image.setUint32(24, mem.get32(L.MXCSR), true);
  image.setUint32(28, MXCSR_MASK, true);
  for (let i = 0; i < 8; i++) {
    const register = L.X87 + ((top + i) & 7) * 16;
    image.setBigUint64(REGISTERS + i * 16, mem.get64(register), true);
    image.setUint16(REGISTERS + i * 16 + 8, mem.get16(register + 8), true);
  }
  for (let i = 0; i < 16; i++)
    bytes.set(mem.bytes.subarray(L.XMM + i * L.XMM_STRIDE, L.XMM + i * L.XMM_STRIDE + 16), XMM_AREA + i * 16);
  return bytes;
}

function setPointer(image: DataView, at: number, value: bigint, wide: boolean): void {
  if (wide) image.setBigUint64(at, value, true);
  else image.setUint32(at, Number(value & 0xffff_ffffn), true);
}

/** Loads an image; returns what is wrong with it, or undefined. */
export function loadFxsave(context: CpuContext, bytes: Uint8Array, wide: boolean): string | undefined {
  const { mem } = context;
  const image = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const mxcsr = image.getUint32(24, true);
  if (mxcsr & ~MXCSR_MASK) return `MXCSR ${hex(mxcsr)} has reserved bits`;
  const status = image.getUint16(2, true);
  const top = (status >> 11) & 7;
  mem.set32(L.X87_CW, image.getUint16(0, true));
  mem.set32(L.X87_SW, status & ~0x3800);
  mem.set32(L.X87_TOP, top);
  mem.set32(L.X87_TAG, fullTag(image, image.getUint8(4), top));
  mem.set32(L.X87_LAST_OPCODE, image.getUint16(6, true) & 0x7ff);
  mem.set64(L.X87_LAST_IP, wide ? image.getBigUint64(8, true) : BigInt(image.getUint32(8, true)));
  mem.set64(L.X87_LAST_DP, wide ? image.getBigUint64(16, true) : BigInt(image.getUint32(16, true)));
  mem.set32(L.MXCSR, mxcsr);
  for (let i = 0; i < 8; i++) {
    const register = L.X87 + ((top + i) & 7) * 16;
    mem.set64(register, image.getBigUint64(REGISTERS + i * 16, true));
    mem.set16(register + 8, image.getUint16(REGISTERS + i * 16 + 8, true));
  }
  for (let i = 0; i < 16; i++)
    mem.bytes.set(bytes.subarray(XMM_AREA + i * 16, XMM_AREA + i * 16 + 16), L.XMM + i * L.XMM_STRIDE);
  return undefined;
}

/** A second page that refuses leaves a partly written area, which the repeated instruction overwrites. */
export function fxsave(context: CpuContext, instruction: Instruction): SystemOutcome {
  const gva = area(context, instruction);
  const bytes = buildFxsave(context, instruction.size === 8);
  const image = new DataView(bytes.buffer);
  const xmm = (context.cpu.cr4 & CR4_OSFXSR) !== 0n;
  const end = xmm ? WRITTEN : XMM_AREA;
  for (let at = 0; at < end; at += 8) writeLinear(context, gva + BigInt(at), 8, image.getBigUint64(at, true), 'cpl');
  return 'next';
}

export function fxrstor(context: CpuContext, instruction: Instruction): SystemOutcome {
  const gva = area(context, instruction);
  const image = new DataView(new ArrayBuffer(AREA));
  for (let at = 0; at < WRITTEN; at += 8) image.setBigUint64(at, readLinear(context, gva + BigInt(at), 8, 'cpl'), true);
  const refused = loadFxsave(context, new Uint8Array(image.buffer), instruction.size === 8);
  if (refused) generalProtection(`FXRSTOR: ${refused}`);
  return 'next';
}

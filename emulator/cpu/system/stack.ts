/** The stack as POP, IRET and far transfers use it. */
import type { CpuContext } from '../context.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import { Rights } from './descriptors.ts';
import { Vector, raise } from './fault.ts';
import { hex, isCanonical, readLinear, segmentAddress, writeLinear } from './memory.ts';
import type { Bytes } from './memory.ts';

/** Linear address `offset` bytes above the top of the stack (below, if negative). */
function stackAddress(context: CpuContext, offset: number, bytes: number, write: boolean): bigint {
  const { cpu, mem } = context;
  const top = BigInt.asUintN(stackBits(context), cpu.rsp + BigInt(offset));
  if (mem.get32(L.CODE_MODE) !== 2) return segmentAddress(context, Segment.SS, top, bytes, write);
  if (!isCanonical(context, top) || !isCanonical(context, BigInt.asUintN(64, top + BigInt(bytes - 1)))) {
    raise(Vector.SS, 0, `stack address ${hex(top)} is not canonical`);
  }
  return top;
}

function stackBits(context: CpuContext): 64 | 32 | 16 {
  if (context.mem.get32(L.CODE_MODE) === 2) return 64;
  return context.mem.get32(L.SS + L.SEG_RIGHTS) & Rights.DB ? 32 : 16;
}

/** Item `offset` bytes above the top of the stack. */
export function peekStack(context: CpuContext, offset: number, bytes: Bytes): bigint {
  return readLinear(context, stackAddress(context, offset, bytes, false), bytes, 'cpl');
}

/** Writes below the top of the stack without moving it. */
export function pokeStack(context: CpuContext, offset: number, bytes: Bytes, value: bigint): void {
  writeLinear(context, stackAddress(context, offset, bytes, true), bytes, value, 'cpl');
}

/** Adds to the stack pointer, at the width of the stack. */
export function moveStack(context: CpuContext, delta: number): void {
  const bits = stackBits(context);
  setStackPointer(context, bits, BigInt.asUintN(bits, context.cpu.rsp + BigInt(delta)));
}

/** Loads the stack pointer of a stack of this width: SP alone if it is 16 bits wide. */
export function setStackPointer({ cpu }: CpuContext, bits: 64 | 32 | 16, value: bigint): void {
  const pointer = BigInt.asUintN(bits, value);
  cpu.rsp = bits === 16 ? (cpu.rsp & ~0xffffn) | pointer : pointer;
}

/**
 * Direct branches whose target lies outside the code segment: #GP(0) on the branch, if it is taken (SDM 2A "Jcc", "LOOP"). The block cache leaves them to
 * TypeScript, since nothing of the kind exists in code that works.
 */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import { generalProtection } from './fault.ts';
import { writeGpr } from './memory.ts';
import type { Bytes } from './memory.ts';
import { Flag, arithmeticFlags } from './rflags.ts';

type Taken = (context: CpuContext, instruction: Instruction) => boolean;

const RCX = 1;

function holds(context: CpuContext, condition: number): boolean {
  const flags = arithmeticFlags(context);
  const set = (flag: number): boolean => (flags & flag) !== 0;
  const less = set(Flag.SF) !== set(Flag.OF);
  const positive = [
    set(Flag.OF),
    set(Flag.CF),
    set(Flag.ZF),
    set(Flag.CF) || set(Flag.ZF),
    set(Flag.SF),
    set(Flag.PF),
    less,
    less || set(Flag.ZF),
  ][condition >> 1]!;
  return positive !== ((condition & 1) !== 0);
}

const EQUAL = 4;
const count = (context: CpuContext, { size }: Instruction): bigint => BigInt.asUintN(size * 8, context.cpu.gpr(RCX));
const goesOn: Taken = (context, instruction) =>
  BigInt.asUintN(instruction.size * 8, count(context, instruction) - 1n) !== 0n;

const TAKEN: Readonly<Record<string, Taken>> = {
  jmp: () => true,
  call: () => true,
  jcc: (context, { condition }) => holds(context, condition ?? 0),
  jrcxz: (context, instruction) => count(context, instruction) === 0n,
  loop: goesOn,
  loope: (context, instruction) => goesOn(context, instruction) && holds(context, EQUAL),
  loopne: (context, instruction) => goesOn(context, instruction) && !holds(context, EQUAL),
};

export const leaving =
  (op: string) =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    if (TAKEN[op]!(context, instruction))
      generalProtection(`${op.toUpperCase()} to an address outside the code segment`);
    if (op.startsWith('loop')) writeGpr(context, RCX, instruction.size as Bytes, count(context, instruction) - 1n);
    return 'next';
  };

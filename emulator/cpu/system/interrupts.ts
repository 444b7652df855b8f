/** INT n, INT3, INT1, INTO, BOUND; CLI, STI, POPF, HLT; and what is due between two instructions (SDM 2, SDM 3A 6.8). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import { InterruptionType } from '../engine-api.ts';
import type { Instruction } from '../instruction.ts';
import * as L from '../layout.ts';
import { underSupervisor } from './descriptors.ts';
import { deliverUnlessHeld } from './exceptions.ts';
import { ExitReason, Primary, exit, primary } from './exits.ts';
import { Vector, generalProtection, raise, requireCpl0, undefinedOpcode } from './fault.ts';
import { Activity, Blocking } from '../activity.ts';
import { linearAddress, readLinear, readOperand } from './memory.ts';
import type { Bytes } from './memory.ts';
import { Flag, arithmeticFlags, readRflags, systemFlags, writeRflags, writeSystemFlags } from './rflags.ts';
import { refuseVirtual8086 } from './modes.ts';
import { moveStack, peekStack } from './stack.ts';

function software(
  context: CpuContext,
  instruction: Instruction,
  vector: number,
  type: InterruptionType,
): SystemOutcome {
  const delivered = deliverUnlessHeld(context, {
    kind: 'exception',
    vector,
    type,
    instructionLength: instruction.length,
  });
  return delivered ? 'moved' : 'held';
}

/** Linux has gates of DPL 3 for #BP and #OF only; the 32-bit system call gate is not offered. */
export function int(context: CpuContext, instruction: Instruction): SystemOutcome {
  const [operand] = instruction.operands;
  const vector = operand?.kind === 'immediate' ? Number(operand.value & 0xffn) : 0;
  refuseVirtual8086(context, 'INT n');
  if (underSupervisor(context) && vector !== Vector.BP && vector !== Vector.OF) {
    generalProtection(`Linux's IDT entry ${vector} is not for software`, vector * 8 + 2);
  }
  return software(context, instruction, vector, InterruptionType.SoftwareInterrupt);
}

export function int3(context: CpuContext, instruction: Instruction): SystemOutcome {
  return software(context, instruction, Vector.BP, InterruptionType.SoftwareException);
}

export function int1(context: CpuContext, instruction: Instruction): SystemOutcome {
  return software(context, instruction, Vector.DB, InterruptionType.PrivilegedSoftwareException);
}

export function into(context: CpuContext, instruction: Instruction): SystemOutcome {
  if (context.mem.get32(L.CODE_MODE) === 2) undefinedOpcode('INTO in 64-bit mode');
  if (!(arithmeticFlags(context) & Flag.OF)) return 'next';
  return software(context, instruction, Vector.OF, InterruptionType.SoftwareException);
}

export function bound(context: CpuContext, instruction: Instruction): SystemOutcome {
  const [index, pair] = instruction.operands;
  if (pair?.kind !== 'memory') undefinedOpcode('BOUND needs a memory operand');
  const bytes = instruction.size as Bytes;
  const gva = linearAddress(context, pair, bytes * 2);
  const signed = (value: bigint): bigint => BigInt.asIntN(bytes * 8, value);
  const lower = signed(readLinear(context, gva, bytes, 'cpl'));
  const upper = signed(readLinear(context, gva + BigInt(bytes), bytes, 'cpl'));
  const value = signed(readOperand(context, index!, bytes));
  if (value < lower || value > upper) raise(Vector.BR, undefined, `${value} is not in ${lower}..${upper}`);
  return 'next';
}

function mayChangeInterruptFlag(context: CpuContext): boolean {
  return context.cpu.cpl <= (systemFlags(context) & Flag.IOPL) >> 12;
}

export function cli(context: CpuContext): SystemOutcome {
  if (!mayChangeInterruptFlag(context)) generalProtection(`CLI at CPL ${context.cpu.cpl}, above IOPL`);
  writeSystemFlags(context, systemFlags(context) & ~Flag.IF);
  return 'next';
}

/** Interrupts stay blocked for one more instruction if they were disabled. */
export function sti(context: CpuContext): SystemOutcome {
  const { mem } = context;
  if (!mayChangeInterruptFlag(context)) generalProtection(`STI at CPL ${context.cpu.cpl}, above IOPL`);
  const flags = systemFlags(context);
  if (!(flags & Flag.IF)) mem.set32(L.INTERRUPTIBILITY, mem.get32(L.INTERRUPTIBILITY) | Blocking.STI);
  writeSystemFlags(context, flags | Flag.IF);
  return 'next';
}

export function popf(context: CpuContext, instruction: Instruction): SystemOutcome {
  const bytes = instruction.size as 2 | 4 | 8;
  refuseVirtual8086(context, 'POPF');
  const value = Number(peekStack(context, 0, bytes) & 0xffff_ffffn);
  const old = readRflags(context);
  const changes = popfMask(context, bytes);
  moveStack(context, bytes);
  writeRflags(context, ((old & ~changes) | (value & changes)) & ~Flag.RF);
  return 'next';
}

/** Flags that POPF and IRET may change at this CPL (SDM 2B "POPF"); RF, VM, VIF and VIP are left to the caller. */
export function popfMask(context: CpuContext, bytes: number): number {
  let mask = Flag.CF | Flag.PF | Flag.AF | Flag.ZF | Flag.SF | Flag.TF | Flag.DF | Flag.OF | Flag.NT;
  if (bytes > 2) mask |= Flag.AC | Flag.ID;
  if (context.cpu.cpl === 0) mask |= Flag.IOPL;
  if (mayChangeInterruptFlag(context)) mask |= Flag.IF;
  return mask;
}

export function hlt(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu, mem } = context;
  requireCpl0(context, 'HLT');
  if (primary(context, Primary.HltExiting)) return exit(context, instruction, ExitReason.Hlt);
  cpu.rip = BigInt.asUintN(64, cpu.rip + BigInt(instruction.length));
  mem.set32(L.ACTIVITY, Activity.Halt);
  return 'moved';
}

/** A non-maskable interrupt arrives: it is delivered at the next instruction boundary at which none blocks it. */
export function raiseNmi({ mem }: CpuContext): void {
  mem.set32(L.PENDING_EVENTS, mem.get32(L.PENDING_EVENTS) | L.PENDING_NMI);
}

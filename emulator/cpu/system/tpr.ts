/** CR8: the task-priority register, or the virtual one of the virtual-APIC page (SDM 3A 10.8.6, SDM 3C 30.3). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import * as L from '../layout.ts';
import { Field } from '../../vmx/fields.ts';
import type { VirtualWrite } from '../../vmx/posted.ts';
import { Primary, primary } from './exits.ts';
import { generalProtection } from './fault.ts';
import { hex } from './memory.ts';

const VTPR = 0x80;

function virtualTpr(context: CpuContext): number | undefined {
  if (!primary(context, Primary.TprShadow)) return undefined;
  return Number(context.vmx.field(Field.virtualApicAddress)) + VTPR;
}

export function readTpr(context: CpuContext): bigint {
  const shadow = virtualTpr(context);
  if (shadow === undefined) return context.board?.taskPriority() ?? context.mem.get64(L.CR8);
  return BigInt((context.physical.read32(shadow) >> 4) & 15);
}

export function writeTpr(context: CpuContext, instruction: Instruction, value: bigint): SystemOutcome {
  if (value > 15n) generalProtection(`MOV CR8: ${hex(value)} has reserved bits`);
  const shadow = virtualTpr(context);
  if (shadow === undefined) {
    context.mem.set64(L.CR8, value);
    context.board?.setTaskPriority(value);
    return 'next';
  }
  context.physical.write32(shadow, Number(value) << 4);
  return afterVirtualWrite(context, instruction, context.vmx.virtualTprWritten());
}

/** After a write to the virtual-APIC page: its exit, if any, is a trap. */
export function afterVirtualWrite(
  context: CpuContext,
  instruction: Instruction,
  { refused, exit, qualification }: VirtualWrite,
): SystemOutcome {
  if (refused !== undefined) generalProtection(`${instruction.op.toUpperCase()}: ${refused}`);
  if (exit === undefined) return 'next';
  context.cpu.rip = BigInt.asUintN(64, context.cpu.rip + BigInt(instruction.length));
  context.vmx.exit(exit, qualification === undefined ? {} : { qualification: BigInt(qualification) });
  return 'moved';
}

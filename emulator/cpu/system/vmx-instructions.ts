/** The VMX instructions as the CPU executes them (SDM 3C 31.3): who may, what exits, and the flags that tell the outcome. */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction, MemoryOperand } from '../instruction.ts';
import * as L from '../layout.ts';
import type { VmxStatus } from '../../vmx/api.ts';
import { Field } from '../../vmx/fields.ts';
import { ExitReason, displacement, exit, memoryInformation, operandInformation } from './exits.ts';
import { generalProtection, requireCpl0, undefinedOpcode } from './fault.ts';
import { linearAddress, readLinear, readOperand, writeLinear, writeOperand } from './memory.ts';
import type { Bytes } from './memory.ts';
import { refuseCr0, refuseCr4 } from './control-registers.ts';
import { Flag, setArithmeticFlags } from './rflags.ts';

const CR4_VMXE = 0x2000n;
const FEATURE_CONTROL_LOCK_AND_VMX = 5n;
const ERROR_VMCALL_IN_ROOT = 1;
const NO_VMCS = -1;

/** SDM 3C 31.2. */
function conclude(context: CpuContext, status: VmxStatus): SystemOutcome {
  setArithmeticFlags(context, status.kind === 'fail-invalid' ? Flag.CF : status.kind === 'fail-valid' ? Flag.ZF : 0);
  return 'next';
}

function memoryOperand(instruction: Instruction): MemoryOperand {
  const operand = instruction.operands.find((o): o is MemoryOperand => o.kind === 'memory');
  return operand ?? undefinedOpcode(`${instruction.op.toUpperCase()} needs a memory operand`);
}

function requireVmxOperation(context: CpuContext, instruction: Instruction): void {
  const { mem } = context;
  if (!mem.get32(L.VMX_ON)) undefinedOpcode(`${instruction.op.toUpperCase()} outside VMX operation`);
  if (mem.get32(L.CODE_MODE) === 2) return;
  if (context.cpu.efer & 0x400n) undefinedOpcode(`${instruction.op.toUpperCase()} in compatibility mode`);
}

/** In non-root operation every VMX instruction exits, at any CPL; in root operation it needs CPL 0. */
function guard(context: CpuContext, instruction: Instruction, reason: number): SystemOutcome | undefined {
  requireVmxOperation(context, instruction);
  if (context.cpu.nonRoot) return exit(context, instruction, reason, operandFields(instruction));
  requireCpl0(context, instruction.op.toUpperCase());
  return undefined;
}

/** Displacement and instruction information for those that have operands. */
function operandFields(instruction: Instruction): { qualification?: bigint; instructionInformation?: number } {
  const { operands, op } = instruction;
  if (operands.length === 0) return {};
  const memory = operands.find((o) => o.kind === 'memory');
  if (op === 'vmread' || op === 'vmwrite') {
    const [place, encoding] = op === 'vmread' ? operands : [operands[1], operands[0]];
    const register2 = encoding?.kind === 'gpr' ? encoding.register : 0;
    return {
      qualification: displacement(memory),
      instructionInformation: (operandInformation(place!) | (register2 << 28)) >>> 0,
    };
  }
  const general = operands.find((o) => o.kind === 'gpr');
  const register2 = general?.kind === 'gpr' ? general.register << 28 : 0;
  return {
    qualification: displacement(memory),
    instructionInformation: (memoryInformation(memoryOperand(instruction)) | register2) >>> 0,
  };
}

function readPointer(context: CpuContext, instruction: Instruction): number {
  return Number(readLinear(context, linearAddress(context, memoryOperand(instruction), 8), 8, 'cpl'));
}

export function vmxon(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu, mem, vmx } = context;
  if (!(cpu.cr4 & CR4_VMXE)) undefinedOpcode('VMXON with CR4.VMXE = 0');
  if (mem.get32(L.CODE_MODE) !== 2 && cpu.efer & 0x400n) undefinedOpcode('VMXON in compatibility mode');
  if (cpu.nonRoot) return exit(context, instruction, ExitReason.Vmxon, operandFields(instruction));
  requireCpl0(context, 'VMXON');
  if (!mem.get32(L.VMX_ON)) {
    const allowed = (mem.get64(L.MSR_FEATURE_CONTROL) & FEATURE_CONTROL_LOCK_AND_VMX) === FEATURE_CONTROL_LOCK_AND_VMX;
    if (!allowed) generalProtection('VMXON: FEATURE_CONTROL does not allow it');
    checkFixedBits(context);
  }
  return conclude(context, vmx.vmxon(readPointer(context, instruction)));
}

/** The present CR0 and CR4 must be what VMX operation allows. */
function checkFixedBits(context: CpuContext): void {
  const { mem, cpu } = context;
  mem.set32(L.VMX_ON, 1);
  const refused = refuseCr0(context, cpu.cr0) ?? refuseCr4(context, cpu.cr4);
  mem.set32(L.VMX_ON, 0);
  if (refused) generalProtection(`VMXON: ${refused}`);
}

export function vmxoff(context: CpuContext, instruction: Instruction): SystemOutcome {
  return guard(context, instruction, ExitReason.Vmxoff) ?? conclude(context, context.vmx.vmxoff());
}

export function vmclear(context: CpuContext, instruction: Instruction): SystemOutcome {
  return (
    guard(context, instruction, ExitReason.Vmclear) ??
    conclude(context, context.vmx.vmclear(readPointer(context, instruction)))
  );
}

export function vmptrld(context: CpuContext, instruction: Instruction): SystemOutcome {
  return (
    guard(context, instruction, ExitReason.Vmptrld) ??
    conclude(context, context.vmx.vmptrld(readPointer(context, instruction)))
  );
}

export function vmptrst(context: CpuContext, instruction: Instruction): SystemOutcome {
  const exited = guard(context, instruction, ExitReason.Vmptrst);
  if (exited) return exited;
  const gva = linearAddress(context, memoryOperand(instruction), 8);
  writeLinear(context, gva, 8, BigInt.asUintN(64, BigInt(context.vmx.vmptrst())), 'cpl');
  return conclude(context, { kind: 'succeed' });
}

export function vmread(context: CpuContext, instruction: Instruction): SystemOutcome {
  const exited = guard(context, instruction, ExitReason.Vmread);
  if (exited) return exited;
  const [destination, source] = instruction.operands;
  const bytes = instruction.size as Bytes;
  const encoding = readOperand(context, source!, bytes);
  const value = context.vmx.vmread(Number(encoding));
  if (typeof value !== 'bigint') return conclude(context, value);
  writeOperand(context, destination!, bytes, value);
  return conclude(context, { kind: 'succeed' });
}

export function vmwrite(context: CpuContext, instruction: Instruction): SystemOutcome {
  const exited = guard(context, instruction, ExitReason.Vmwrite);
  if (exited) return exited;
  const [encoding, source] = instruction.operands;
  const bytes = instruction.size as Bytes;
  const value = readOperand(context, source!, bytes);
  return conclude(context, context.vmx.vmwrite(Number(readOperand(context, encoding!, bytes)), value));
}

const enter =
  (reason: number, launch: boolean) =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    const exited = guard(context, instruction, reason);
    if (exited) return exited;
    const status = launch ? context.vmx.vmlaunch() : context.vmx.vmresume();
    return status.kind === 'succeed' ? 'moved' : conclude(context, status);
  };
export const vmlaunch = enter(ExitReason.Vmlaunch, true);
export const vmresume = enter(ExitReason.Vmresume, false);

/** In root operation there is no SMM monitor to call. */
export function vmcall(context: CpuContext, instruction: Instruction): SystemOutcome {
  const exited = guard(context, instruction, ExitReason.Vmcall);
  if (exited) return exited;
  if (context.vmx.vmptrst() === NO_VMCS) return conclude(context, { kind: 'fail-invalid' });
  context.vmx.setField(Field.instructionError, BigInt(ERROR_VMCALL_IN_ROOT));
  return conclude(context, { kind: 'fail-valid', error: ERROR_VMCALL_IN_ROOT });
}

interface Descriptor {
  readonly type: number;
  readonly low: bigint;
  readonly high: bigint;
}

function invalidationDescriptor(context: CpuContext, instruction: Instruction): Descriptor {
  const type = readOperand(context, instruction.operands[0]!, instruction.size as Bytes);
  const gva = linearAddress(context, memoryOperand(instruction), 16);
  const low = readLinear(context, gva, 8, 'cpl');
  return { type: Number(type), low, high: readLinear(context, BigInt.asUintN(64, gva + 8n), 8, 'cpl') };
}

export function invept(context: CpuContext, instruction: Instruction): SystemOutcome {
  const exited = guard(context, instruction, ExitReason.Invept);
  if (exited) return exited;
  const { type, low } = invalidationDescriptor(context, instruction);
  return conclude(context, context.vmx.invept(type, low));
}

export function invvpid(context: CpuContext, instruction: Instruction): SystemOutcome {
  const exited = guard(context, instruction, ExitReason.Invvpid);
  if (exited) return exited;
  const { type, low, high } = invalidationDescriptor(context, instruction);
  return conclude(context, context.vmx.invvpid(type, Number(low & 0xffffn), high));
}

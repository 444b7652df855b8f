/** The VMX instructions as the CPU executes them (SDM 3C 31.3): who may, what exits, and the flags that tell the outcome. */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction, MemoryOperand } from '../instruction.ts';
import * as L from '../layout.ts';
import type { VmxStatus } from '../../vmx/api.ts';
import { INVEPT_TYPES, INVVPID_TYPES } from '../../vmx/capabilities.ts';
import { VmxError } from '../../vmx/errors.ts';
import {
  ExitReason,
  Secondary,
  displacement,
  exit,
  memoryInformation,
  operandInformation,
  secondary,
} from './exits.ts';
import { generalProtection, requireCpl0, undefinedOpcode } from './fault.ts';
import { linearAddress, readLinear, readOperand, writeLinear, writeOperand } from './memory.ts';
import type { Bytes } from './memory.ts';
import { refuseCr0, refuseCr4 } from './control-registers.ts';
import { isLongMode, requireProtectedMode } from './modes.ts';
import { Flag, setArithmeticFlags } from './rflags.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR4_VMXE } = BITS_64;

const FEATURE_CONTROL_LOCK_AND_VMX = 5n;
const { VmcallInRoot: ERROR_VMCALL_IN_ROOT, VmxonInRoot: ERROR_VMXON_IN_ROOT } = VmxError;
const { InvalidInvalidation: ERROR_INVALIDATION } = VmxError;
const LOW32 = 0xffff_ffffn;
/** Greatest number that the VM-function controls could enable. */
export const LAST_FUNCTION = 63;

/** SDM 3C 31.2. */
function conclude(context: CpuContext, status: VmxStatus): SystemOutcome {
  setArithmeticFlags(context, status.kind === 'fail-invalid' ? Flag.CF : status.kind === 'fail-valid' ? Flag.ZF : 0);
  return 'next';
}

function memoryOperand(instruction: Instruction): MemoryOperand {
  const operand = instruction.operands.find((o): o is MemoryOperand => o.kind === 'memory');
  return operand ?? undefinedOpcode(`${instruction.op.toUpperCase()} needs a memory operand`);
}

/** Real, virtual-8086 and compatibility mode have no VMX instructions. */
export function refuseMode(context: CpuContext, instruction: Instruction): void {
  requireProtectedMode(context, instruction.op);
  if (context.mem.get32(L.CODE_MODE) !== 2 && isLongMode(context))
    undefinedOpcode(`${instruction.op.toUpperCase()} in compatibility mode`);
}

function requireVmxOperation(context: CpuContext, instruction: Instruction): void {
  if (!context.mem.get32(L.VMX_ON)) undefinedOpcode(`${instruction.op.toUpperCase()} outside VMX operation`);
  refuseMode(context, instruction);
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
  refuseMode(context, instruction);
  if (cpu.nonRoot) return exit(context, instruction, ExitReason.Vmxon, operandFields(instruction));
  requireCpl0(context, 'VMXON');
  if (mem.get32(L.VMX_ON)) return conclude(context, vmx.fail(ERROR_VMXON_IN_ROOT));
  const allowed = (mem.get64(L.MSR_FEATURE_CONTROL) & FEATURE_CONTROL_LOCK_AND_VMX) === FEATURE_CONTROL_LOCK_AND_VMX;
  if (!allowed) generalProtection('VMXON: FEATURE_CONTROL does not allow it');
  checkFixedBits(context);
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

/** As `guard`; in a guest, the bitmaps of VMCS shadowing may send the access to the VMCS that the link pointer names (SDM 3C 25.10). */
function guardField(
  context: CpuContext,
  instruction: Instruction,
  reason: number,
  encoding: bigint,
): SystemOutcome | undefined {
  requireVmxOperation(context, instruction);
  const shadowed = context.cpu.nonRoot && context.vmx.isShadowed(encoding, reason === ExitReason.Vmwrite);
  if (context.cpu.nonRoot && !shadowed) return exit(context, instruction, reason, operandFields(instruction));
  requireCpl0(context, instruction.op.toUpperCase());
  return undefined;
}

export function vmread(context: CpuContext, instruction: Instruction): SystemOutcome {
  const [destination, source] = instruction.operands;
  const bytes = instruction.size as Bytes;
  const encoding = readOperand(context, source!, bytes);
  const exited = guardField(context, instruction, ExitReason.Vmread, encoding);
  if (exited) return exited;
  const value = context.cpu.nonRoot ? context.vmx.shadowRead(Number(encoding)) : context.vmx.vmread(Number(encoding));
  if (typeof value !== 'bigint') return conclude(context, value);
  writeOperand(context, destination!, bytes, value);
  return conclude(context, { kind: 'succeed' });
}

export function vmwrite(context: CpuContext, instruction: Instruction): SystemOutcome {
  const [place, source] = instruction.operands;
  const bytes = instruction.size as Bytes;
  const encoding = readOperand(context, place!, bytes);
  const exited = guardField(context, instruction, ExitReason.Vmwrite, encoding);
  if (exited) return exited;
  const value = readOperand(context, source!, bytes);
  const { vmx, cpu } = context;
  const field = Number(encoding);
  return conclude(context, cpu.nonRoot ? vmx.shadowWrite(field, value) : vmx.vmwrite(field, value));
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

/** A guest may call from every mode and ring. In root operation there is no SMM monitor to call. */
export function vmcall(context: CpuContext, instruction: Instruction): SystemOutcome {
  if (context.cpu.nonRoot) return exit(context, instruction, ExitReason.Vmcall);
  requireVmxOperation(context, instruction);
  requireCpl0(context, 'VMCALL');
  return conclude(context, context.vmx.fail(ERROR_VMCALL_IN_ROOT));
}

/** Function EAX for the guest, at any CPL (SDM 3C 26.5.6). */
export function vmfunc(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu, vmx } = context;
  const number = Number(cpu.gpr(0) & LOW32);
  if (!cpu.nonRoot || !secondary(context, Secondary.VmFunctions) || number > LAST_FUNCTION)
    undefinedOpcode(`VM function ${number} where there is none`);
  if (!vmx.callFunction(number, Number(cpu.gpr(1) & LOW32))) return exit(context, instruction, ExitReason.Vmfunc);
  return 'next';
}

interface Descriptor {
  readonly type: number;
  readonly low: bigint;
  readonly high: bigint;
}

/** Undefined for a type that does not exist: its descriptor is not read. */
function invalidationDescriptor(
  context: CpuContext,
  instruction: Instruction,
  types: readonly number[],
): Descriptor | undefined {
  const type = Number(readOperand(context, instruction.operands[0]!, instruction.size as Bytes));
  if (!types.includes(type)) return undefined;
  const gva = linearAddress(context, memoryOperand(instruction), 16);
  const low = readLinear(context, gva, 8, 'cpl');
  return { type, low, high: readLinear(context, BigInt.asUintN(64, gva + 8n), 8, 'cpl') };
}

export function invept(context: CpuContext, instruction: Instruction): SystemOutcome {
  const exited = guard(context, instruction, ExitReason.Invept);
  if (exited) return exited;
  const descriptor = invalidationDescriptor(context, instruction, INVEPT_TYPES);
  if (!descriptor) return conclude(context, context.vmx.fail(ERROR_INVALIDATION));
  return conclude(context, context.vmx.invept(descriptor.type, descriptor.low));
}

export function invvpid(context: CpuContext, instruction: Instruction): SystemOutcome {
  const exited = guard(context, instruction, ExitReason.Invvpid);
  if (exited) return exited;
  const descriptor = invalidationDescriptor(context, instruction, INVVPID_TYPES);
  if (!descriptor || descriptor.low >> 16n) return conclude(context, context.vmx.fail(ERROR_INVALIDATION));
  return conclude(context, context.vmx.invvpid(descriptor.type, Number(descriptor.low), descriptor.high));
}

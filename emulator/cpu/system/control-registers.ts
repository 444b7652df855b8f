/** MOV to and from CR0, CR2, CR3, CR4, CR8; CLTS, LMSW, SMSW (SDM 3A 2.5, SDM 3C 26.1.3, 26.3). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import { CPU_COSTS } from '../costs.ts';
import * as L from '../layout.ts';
import { Field } from '../../vmx/fields.ts';
import { BITS } from '../../describe/bits.ts';
import type { CpuModel } from './models.ts';
import { Rights, updateDerived } from './descriptors.ts';
import { controlRegisterEvent } from './events.ts';
import { ExitReason, Primary, Secondary, exit, primary, secondary } from './exits.ts';
import { generalProtection, requireCpl0, undefinedOpcode } from './fault.ts';
import { hex, linearAddress, readOperand, writeGpr, writeOperand } from './memory.ts';
import type { Bytes } from './memory.ts';
import { commitPdptes, inPae, isPae, pdpteFault, readPdptes } from './pdptes.ts';
import { readTpr, writeTpr } from './tpr.ts';
import { BITS_64 } from '../control-bits-64.ts';

const {
  CR0_PE,
  CR0_TS,
  CR0_ET,
  CR0_NW,
  CR0_CD,
  CR0_PG,
  CR4_PSE,
  CR4_PAE,
  CR4_MCE,
  CR4_PGE,
  CR4_PCIDE,
  CR4_SMEP,
  CR4_UMIP,
  CR4_LA57,
  EFER_LME,
  EFER_LMA,
} = BITS_64;

const NO_FLUSH = 1n << 63n;
const LOW16 = 0xffffn;

/** VMCS encodings by register. */
const MASK: Readonly<Record<number, number>> = { 0: Field.cr0Mask, 4: Field.cr4Mask };
const SHADOW: Readonly<Record<number, number>> = { 0: Field.cr0Shadow, 4: Field.cr4Shadow };
/** Capability MSRs: bits that must be 1, bits that may be 1 in VMX operation. */
const FIXED: Readonly<Record<number, readonly [number, number]>> = { 0: [0x486, 0x487], 4: [0x488, 0x489] };

const CR0_KNOWN = BITS.cr0.reduce((mask, bit) => mask | (1n << BigInt(bit.lo)), 0n);

/** CR4 bits, each with the feature it belongs to. */
const CR4_FEATURES: readonly (readonly [bit: bigint, feature: string])[] = [
  [1n << 2n, 'tsc'],
  [1n << 3n, 'de'],
  [CR4_PSE, 'pse'],
  [CR4_PAE, 'pae'],
  [CR4_MCE, 'mce'],
  [CR4_PGE, 'pge'],
  [1n << 8n, 'tsc'],
  [1n << 9n, 'fxsr'],
  [1n << 10n, 'sse'],
  [CR4_UMIP, 'umip'],
  [CR4_LA57, 'la57'],
  [1n << 13n, 'vmx'],
  [1n << 16n, 'fsgsbase'],
  [CR4_PCIDE, 'pcid'],
  [1n << 18n, 'xsave'],
  [CR4_SMEP, 'smep'],
  [1n << 21n, 'smap'],
  [1n << 22n, 'pku'],
];
/** Bits of CR4 that exist on a model. */
export function cr4Known(model: CpuModel): bigint {
  return CR4_FEATURES.reduce((mask, [bit, feature]) => (model.features.has(feature) ? mask | bit : mask), 0n);
}

/** What the register reads as: in non-root operation host-owned bits come from the read shadow. */
export function visibleControl(context: CpuContext, register: 0 | 4): bigint {
  const real = register === 0 ? context.cpu.cr0 : context.cpu.cr4;
  if (!context.cpu.nonRoot) return real;
  const mask = context.vmx.field(MASK[register]!);
  return (real & ~mask) | (context.vmx.field(SHADOW[register]!) & mask);
}

function qualification(register: number, access: 0 | 1 | 2 | 3, gpr: number): { qualification: bigint } {
  return { qualification: BigInt(register | (access << 4) | (gpr << 8)) };
}

interface ControlMove {
  readonly control: number;
  readonly gpr: number;
  readonly bytes: Bytes;
}

export function controlMove(context: CpuContext, instruction: Instruction): ControlMove {
  const control = instruction.operands.find((operand) => operand.kind === 'control');
  const general = instruction.operands.find((operand) => operand.kind === 'gpr');
  const existing = control && [0, 2, 3, 4, 8].includes(control.register);
  if (!existing || !general) undefinedOpcode('there is no such control register');
  requireCpl0(context, `MOV to or from CR${control.register}`);
  return { control: control.register, gpr: general.register, bytes: instruction.size as Bytes };
}

export function movFromControl(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu } = context;
  const { control, gpr, bytes } = controlMove(context, instruction);
  const exits =
    (control === 3 && primary(context, Primary.Cr3StoreExiting)) ||
    (control === 8 && primary(context, Primary.Cr8StoreExiting));
  if (exits) return exit(context, instruction, ExitReason.CrAccess, qualification(control, 1, gpr));
  const value =
    control === 0 || control === 4
      ? visibleControl(context, control)
      : control === 2
        ? cpu.cr2
        : control === 3
          ? cpu.cr3
          : readTpr(context);
  writeGpr(context, gpr, bytes, value);
  return 'next';
}

export function movToControl(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu } = context;
  const { control, gpr, bytes } = controlMove(context, instruction);
  const value = readOperand(context, { kind: 'gpr', register: gpr }, bytes);
  if (moveExits(context, control, value))
    return exit(context, instruction, ExitReason.CrAccess, qualification(control, 0, gpr));
  if (control === 8) return writeTpr(context, instruction, value);
  if (control !== 2) return write(context, control as Control, keepHostOwned(context, control as Control, value));
  cpu.cr2 = value;
  return 'next';
}

export type Control = 0 | 3 | 4;

const CONTROLS = {
  0: { at: L.CR0, refuse: refuseCr0, set: setCr0 },
  3: { at: L.CR3, refuse: refuseCr3, set: setCr3 },
  4: { at: L.CR4, refuse: refuseCr4, set: setCr4 },
} as const;

/** Checks, tells, writes: so that a listener can hold the instruction before anything has changed. */
function write(context: CpuContext, control: Control, value: bigint): SystemOutcome {
  const { at, refuse, set } = CONTROLS[control];
  const refused = refuse(context, value);
  if (refused === 'ept') return pdpteFault(context);
  if (refused !== undefined) generalProtection(`CR${control}: ${refused}`);
  if (controlRegisterEvent(context, control, context.mem.get64(at), value)) return 'held';
  set(context, value);
  context.addCycles(CPU_COSTS.controlWrite);
  return 'next';
}

/** Whether a MOV of this value to CR`control` exits. */
export function moveExits(context: CpuContext, control: number, value: bigint): boolean {
  const { cpu, vmx } = context;
  if (!cpu.nonRoot) return false;
  if (control === 8) return primary(context, Primary.Cr8LoadExiting);
  if (control === 3) return primary(context, Primary.Cr3LoadExiting) && !isCr3Target(context, value);
  if (control === 2) return false;
  return ((value ^ vmx.field(SHADOW[control]!)) & vmx.field(MASK[control]!)) !== 0n;
}

function isCr3Target(context: CpuContext, value: bigint): boolean {
  const count = Number(context.vmx.field(Field.cr3TargetCount));
  for (let i = 0; i < count; i++) if (context.vmx.field(Field.cr3Target0 + 2 * i) === value) return true;
  return false;
}

export function keepHostOwned(context: CpuContext, register: Control, value: bigint): bigint {
  if (!context.cpu.nonRoot || register === 3) return value;
  const mask = context.vmx.field(MASK[register]!);
  const real = register === 0 ? context.cpu.cr0 : context.cpu.cr4;
  return (value & ~mask) | (real & mask);
}

/**
 * Why the register cannot hold this value, or undefined; 'ept' if the EPT refused to read a PDPTE. Also what the debugger's writes are checked with.
 */
export function refuseCr0(context: CpuContext, value: bigint): string | undefined {
  const { cpu, mem } = context;
  if (value >> 32n) return 'CR0 bits 63:32 are reserved';
  if (value & CR0_PG && !(value & CR0_PE)) return 'CR0.PG needs CR0.PE';
  if (value & CR0_NW && !(value & CR0_CD)) return 'CR0.NW needs CR0.CD';
  const toggled = value ^ cpu.cr0;
  if (toggled & CR0_PG) {
    const wide = mem.get32(L.CS + L.SEG_RIGHTS) & Rights.L;
    if (value & CR0_PG && cpu.efer & EFER_LME && (!(cpu.cr4 & CR4_PAE) || wide))
      return 'long mode starts from 32-bit code with CR4.PAE = 1';
    if (!(value & CR0_PG) && mem.get32(L.CODE_MODE) === 2) return 'paging cannot be switched off in 64-bit mode';
    if (!(value & CR0_PG) && cpu.cr4 & CR4_PCIDE) return 'paging cannot be switched off while CR4.PCIDE = 1';
  }
  const reloads =
    (toggled & (CR0_CD | CR0_NW | CR0_PG)) !== 0n && isPae(value, cpu.cr4, cpu.efer & EFER_LME ? EFER_LMA : 0n);
  return refuseFixed(context, 0, value) ?? (reloads ? readPdptes(context, cpu.cr3) : undefined);
}

export function refuseCr3(context: CpuContext, value: bigint): string | undefined {
  const pcid = (context.cpu.cr4 & CR4_PCIDE) !== 0n;
  const address = pcid ? value & ~NO_FLUSH : value;
  if (address >> BigInt(context.mem.get32(L.PHYS_BITS)))
    return `CR3 ${hex(value)} has bits above the physical-address width`;
  return inPae(context.mem) ? readPdptes(context, value) : undefined;
}

export function refuseCr4(context: CpuContext, value: bigint): string | undefined {
  const { cpu } = context;
  const reserved = value & ~cr4Known(context.model);
  if (reserved) return `CR4 bits ${hex(reserved)} are reserved on this CPU`;
  if (cpu.efer & EFER_LMA && !(value & CR4_PAE)) return 'CR4.PAE cannot be cleared in IA-32e mode';
  if (value & ~cpu.cr4 & CR4_PCIDE) {
    if (!(cpu.efer & EFER_LMA)) return 'CR4.PCIDE needs IA-32e mode';
    if (cpu.cr3 & 0xfffn) return 'CR4.PCIDE can be set only while CR3[11:0] is 0';
  }
  const toggled = value ^ cpu.cr4;
  if (toggled & CR4_LA57 && cpu.efer & EFER_LMA) return 'CR4.LA57 cannot change in IA-32e mode';
  const reloads = (toggled & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) !== 0n && isPae(cpu.cr0, value, cpu.efer);
  return refuseFixed(context, 4, value) ?? (reloads ? readPdptes(context, cpu.cr3) : undefined);
}

/** Bits that VMX operation holds fixed (SDM 3D A.7, A.8). */
function refuseFixed(context: CpuContext, register: 0 | 4, value: bigint): string | undefined {
  if (!context.mem.get32(L.VMX_ON)) return undefined;
  const [ones, allowed] = FIXED[register]!;
  let required = context.vmx.capability(ones) ?? 0n;
  if (register === 0 && secondary(context, Secondary.UnrestrictedGuest)) required &= ~(CR0_PE | CR0_PG);
  const missing = required & ~value;
  const extra = value & ~(context.vmx.capability(allowed) ?? 0xffff_ffff_ffff_ffffn);
  if (missing) return `VMX operation holds CR${register} bits ${hex(missing)} at 1`;
  if (extra) return `VMX operation holds CR${register} bits ${hex(extra)} at 0`;
  return undefined;
}

/** With PAE paging: what the check of the new value has just found good. */
function loadPdptes(context: CpuContext): void {
  if (inPae(context.mem) && readPdptes(context, context.cpu.cr3) === undefined) commitPdptes(context);
}

/** The real CR0, with everything that follows from a change. The value has been checked. */
export function setCr0(context: CpuContext, value: bigint): void {
  const { cpu, mem, mmu } = context;
  const old = cpu.cr0;
  const next = (value & CR0_KNOWN) | CR0_ET;
  mem.set64(L.CR0, next);
  if ((next ^ old) & CR0_PG && cpu.efer & EFER_LME) {
    mem.set64(L.MSR_EFER, next & CR0_PG ? cpu.efer | EFER_LMA : cpu.efer & ~EFER_LMA);
  }
  if ((next ^ old) & (CR0_CD | CR0_NW | CR0_PG)) loadPdptes(context);
  updateDerived(context);
  if ((next ^ old) & (CR0_PG | CR0_PE)) mmu.flushAll();
}

export function setCr3(context: CpuContext, value: bigint): void {
  const { cpu, mem, mmu, engine } = context;
  const keep = (value & NO_FLUSH) !== 0n;
  mem.set64(L.CR3, value & ~NO_FLUSH);
  loadPdptes(context);
  engine.contextChanged();
  if (!keep) mmu.flush((cpu.cr4 & CR4_PGE) !== 0n);
}

export function setCr4(context: CpuContext, value: bigint): void {
  const { cpu, mem, mmu, engine } = context;
  const old = cpu.cr4;
  mem.set64(L.CR4, value);
  if ((old ^ value) & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) loadPdptes(context);
  engine.contextChanged();
  // SDM 3A 4.10.4.1: changes of PGE, PSE, PAE, of PCIDE to 0 and of SMEP to 1 drop everything, global entries too.
  const drops =
    ((old ^ value) & (CR4_PGE | CR4_PSE | CR4_PAE)) !== 0n ||
    (old & ~value & CR4_PCIDE) !== 0n ||
    (value & ~old & CR4_SMEP) !== 0n;
  if (drops) mmu.invalidatePcid(2, 0, 0n);
}

export function clts(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu, vmx } = context;
  requireCpl0(context, 'CLTS');
  if (cltsExits(context)) return exit(context, instruction, ExitReason.CrAccess, qualification(0, 2, 0));
  // Host-owned, and the guest sees it clear: there is nothing to do.
  if (cpu.nonRoot && vmx.field(MASK[0]!) & CR0_TS) return 'next';
  return write(context, 0, cpu.cr0 & ~CR0_TS);
}

/** TS is host-owned, and the guest sees it set. */
export function cltsExits({ cpu, vmx }: CpuContext): boolean {
  return cpu.nonRoot && (vmx.field(MASK[0]!) & vmx.field(SHADOW[0]!) & CR0_TS) !== 0n;
}

/** Whether LMSW of this word exits: it would set a host-owned PE, or change a host-owned MP, EM or TS. */
export function lmswExits({ cpu, vmx }: CpuContext, source: bigint): boolean {
  if (!cpu.nonRoot) return false;
  const mask = vmx.field(MASK[0]!);
  const shadow = vmx.field(SHADOW[0]!);
  return (mask & source & ~shadow & CR0_PE) !== 0n || (mask & (source ^ shadow) & 0xen) !== 0n;
}

/** Loads PE MP EM TS; PE can only be set (SDM 2A "LMSW"). */
export function lmsw(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu } = context;
  const operand = instruction.operands[0]!;
  requireCpl0(context, 'LMSW');
  const source = readOperand(context, operand, 2) & LOW16;
  if (lmswExits(context, source)) {
    const memory = operand.kind === 'memory';
    return exit(context, instruction, ExitReason.CrAccess, {
      qualification: (3n << 4n) | (memory ? 1n << 6n : 0n) | (source << 16n),
      ...(memory ? { guestLinearAddress: linearAddress(context, operand, 2) } : {}),
    });
  }
  const value = (cpu.cr0 & ~0xen) | (source & 0xfn);
  return write(context, 0, keepHostOwned(context, 0, value));
}

export function smsw(context: CpuContext, instruction: Instruction): SystemOutcome {
  if (context.cpu.cr4 & CR4_UMIP) requireCpl0(context, 'SMSW with CR4.UMIP');
  const destination = instruction.operands[0]!;
  const bytes = destination.kind === 'memory' ? 2 : (instruction.size as Bytes);
  writeOperand(context, destination, bytes, visibleControl(context, 0));
  return 'next';
}

/** Creation of a vCPU, and its first VMCS: every field by VMWRITE. */
import { DEFAULT_PAT } from '../cpu/system/reset.ts';
import * as L from '../cpu/layout.ts';
import { Segment } from '../cpu/state.ts';
import { Field } from '../vmx/fields.ts';
import type { VmxStatus } from '../vmx/api.ts';
import { hex, type CpuFrames, type Dune, type Vcpu } from './state.ts';

/** Capability MSRs. */
const VMX_BASIC = 0x480;
const VMX_PIN = 0x481;
const VMX_PRIMARY = 0x482;
const VMX_EXIT = 0x483;
const VMX_ENTRY = 0x484;
const VMX_CR4_FIXED1 = 0x489;
const VMX_SECONDARY = 0x48b;

/** What the module asks for; what the processor lacks is left out, what it demands is added. */
const WANTED = {
  /** External-interrupt exiting, NMI exiting, virtual NMIs, process posted interrupts. */
  pin: 0xa9,
  /** TSC offsetting, TPR shadow, MOV-DR exiting, MSR bitmaps, secondary controls. CR8 exits go away with the TPR shadow. */
  primary: (1 << 3) | (1 << 21) | (1 << 23) | (1 << 28) | (1 << 31),
  /** EPT, RDTSCP, x2APIC mode, VPID, WBINVD exiting, APIC-register virtualisation, virtual-interrupt delivery, INVPCID. */
  secondary: (1 << 1) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 8) | (1 << 9) | (1 << 12),
  /** 64-bit host, acknowledge interrupt on exit. */
  exit: (1 << 9) | (1 << 15),
  /** IA-32e mode guest. */
  entry: 1 << 9,
} as const;

const TPR_SHADOW = 1 << 21;
/** CR3-load, CR3-store and INVLPG exiting; needless with EPT, so cleared even where the old capability MSR demands them. */
const NEEDLESS_WITH_EPT = (1 << 15) | (1 << 16) | (1 << 9);
const CR8_EXITING = (1 << 19) | (1 << 20);
const POSTED_INTERRUPTS = 1 << 7;
const X2APIC_MODE = 1 << 4;
const APIC_REGISTERS = 1 << 8;
const VIRTUAL_INTERRUPTS = 1 << 9;

/** Vector by which a host CPU is told of a posted interrupt. */
export const POSTED_INTERRUPT_VECTOR = 0xf2;
/** #DB and #BP. */
const EXCEPTION_BITMAP = 0xa;
/** PG WP NE ET MP PE. */
const GUEST_CR0 = 0x8001_0033n;
/** PAE PGE OSFXSR OSXMMEXCPT VMXE. */
const GUEST_CR4 = 0x26a0n;
/** FSGSBASE, PCIDE, OSXSAVE: when the processor has them. */
const GUEST_CR4_IF_PRESENT = 0x7_0000n;
/** LMA LME SCE and bit 14: written, never loaded. */
const GUEST_EFER = 0x4501n;
const ALL_ONES = 0xffff_ffff_ffff_ffffn;

/** MSRs whose reads and writes do not exit: FS and GS base, package energy, RAPL unit. */
const PASSED_MSRS = [0xc000_0100, 0xc000_0101, 0x611, 0x606];
const X2APIC_ID = 0x802;
const X2APIC_EOI = 0x80b;

/** A linear address that Linux would return to after an exit; the supervisor takes its place. */
const HOST_RIP = 0xffff_ffff_a000_1000n;
const HOST_STACK = 0xffff_c900_0000_4000n;
const HOST_TSS = 0xffff_fe00_0000_3000n;
const HOST_GDT = 0xffff_fe00_0000_1000n;
const HOST_IDT = 0xffff_fe00_0000_0000n;

function capability(dune: Dune, msr: number): bigint {
  return dune.context.vmx.capability(msr) ?? 0n;
}

/** Low half of the capability MSR: bits that must be 1; high half: bits that may be. */
function adjust(dune: Dune, wanted: number, msr: number): number {
  const allowed = capability(dune, msr);
  return ((wanted & Number(allowed >> 32n)) | Number(allowed & 0xffff_ffffn)) >>> 0;
}

export interface Controls {
  readonly pin: number;
  readonly primary: number;
  readonly secondary: number;
  readonly exit: number;
  readonly entry: number;
}

export function controlsOf(dune: Dune): Controls {
  let primary = adjust(dune, WANTED.primary, VMX_PRIMARY) & ~NEEDLESS_WITH_EPT;
  primary = primary & TPR_SHADOW ? primary & ~CR8_EXITING : primary | CR8_EXITING;
  let secondary = adjust(dune, WANTED.secondary, VMX_SECONDARY);
  let pin = adjust(dune, WANTED.pin, VMX_PIN);
  if (!(primary & TPR_SHADOW)) secondary &= ~(X2APIC_MODE | APIC_REGISTERS | VIRTUAL_INTERRUPTS);
  if (!(secondary & VIRTUAL_INTERRUPTS)) pin &= ~POSTED_INTERRUPTS;
  return {
    pin: pin >>> 0,
    primary: primary >>> 0,
    secondary: secondary >>> 0,
    exit: adjust(dune, WANTED.exit, VMX_EXIT),
    entry: adjust(dune, WANTED.entry, VMX_ENTRY),
  };
}

/** Fails loudly: a status other than success from here is a mistake of the module, not of its user. */
export function check(what: string, status: VmxStatus): void {
  if (status.kind !== 'succeed')
    throw new Error(`${what}: ${status.kind === 'fail-valid' ? `VM-instruction error ${status.error}` : status.kind}`);
}

export function write(dune: Dune, field: number, value: bigint | number): void {
  const status = dune.context.vmx.vmwrite(field, BigInt(value));
  if (status.kind !== 'succeed') check(`VMWRITE ${hex(field)}`, status);
}

export function read(dune: Dune, field: number): bigint {
  const value = dune.context.vmx.vmread(field);
  if (typeof value !== 'bigint') throw new Error(`VMREAD ${hex(field)}: ${value.kind}`);
  return value;
}

/** As `read` of a field of at most 32 bits. */
export function read32(dune: Dune, field: number): number {
  const value = dune.context.vmx.vmread32(field);
  if (value < 0) throw new Error(`VMREAD ${hex(field)} failed`);
  return value;
}

/** As `read` of a field that holds a physical address. */
export function readAddress(dune: Dune, field: number): number {
  const value = dune.context.vmx.vmreadAddress(field);
  if (value < 0) throw new Error(`VMREAD ${hex(field)} failed`);
  return value;
}

/** Frames of a logical CPU; undefined when RAM is exhausted. */
export function cpuFrames(dune: Dune, cpu: number): CpuFrames | undefined {
  const { state, services, context } = dune;
  const existing = state.cpus[cpu];
  if (existing) return existing;
  const frames = {
    vmxon: services.allocateFrame(),
    virtualApic: services.allocateFrame(),
    postedInterrupt: services.allocateFrame(),
  };
  if (Object.values(frames).some((frame) => frame < 0)) return undefined;
  context.physical.write32(frames.vmxon, revision(dune));
  context.physical.write32(frames.virtualApic + APIC_ID_OFFSET, cpu);
  state.cpus[cpu] = frames;
  return frames;
}
const APIC_ID_OFFSET = 0x20;

function revision(dune: Dune): number {
  return Number(capability(dune, VMX_BASIC) & 0x7fff_ffffn);
}

/** VMX operation is on since the module was loaded; a thread's state page may be older. */
export function ensureVmxOn(dune: Dune, cpu: number): boolean {
  const frames = cpuFrames(dune, cpu);
  if (!frames) return false;
  if (!dune.context.mem.get32(L.VMX_ON)) check('VMXON', dune.context.vmx.vmxon(frames.vmxon));
  return true;
}

/** A new vCPU for the running thread, which is in root operation; undefined when RAM is exhausted. */
export function createVcpu(dune: Dune, pid: number, openFile: number, cpu: number, cr3: bigint): Vcpu | undefined {
  const { services, context, state } = dune;
  if (!ensureVmxOn(dune, cpu)) return undefined;
  const vmcs = services.allocateFrame();
  const msrBitmap = services.allocateFrame();
  const ept = dune.ept.create();
  if (vmcs < 0 || msrBitmap < 0 || !ept) {
    if (vmcs >= 0) services.freeFrame(vmcs);
    if (msrBitmap >= 0) services.freeFrame(msrBitmap);
    if (ept) dune.ept.destroy(ept);
    return undefined;
  }
  const vcpu: Vcpu = {
    id: state.nextVcpu++,
    pid,
    openFile,
    vpid: freeVpid(dune),
    vmcs,
    msrBitmap,
    ept,
    cpu,
    launched: false,
    owner: 0,
    tid: 0,
    outer: 0,
    configHva: 0n,
    config: new Uint8Array(0),
    registers: new BigUint64Array(16),
    cr2: 0n,
    kernelGsBase: 0n,
    linux: new Uint8Array(0),
    ret: 0,
    status: 0n,
    done: false,
    heldRip: undefined,
    shutdown: false,
    pending: undefined,
    restart: false,
    stackTop: 0n,
  };
  state.vcpus.set(vcpu.id, vcpu);
  context.physical.write32(vmcs, revision(dune));
  check('VMCLEAR', context.vmx.vmclear(vmcs));
  check('VMPTRLD', context.vmx.vmptrld(vmcs));
  const controls = controlsOf(dune);
  fillMsrBitmap(dune, msrBitmap, (controls.secondary & APIC_REGISTERS) !== 0);
  for (const [field, value] of initialFields(dune, vcpu, controls, cr3)) write(dune, field, value);
  return vcpu;
}

/** The lowest that is free; 0 is the host's. */
function freeVpid(dune: Dune): number {
  const used = new Set([...dune.state.vcpus.values()].map((vcpu) => vcpu.vpid));
  let vpid = 1;
  while (used.has(vpid)) vpid++;
  return vpid;
}

export function destroyVcpu(dune: Dune, vcpu: Vcpu): void {
  const { context, services, state } = dune;
  if (context.mem.get32(L.VMX_ON)) {
    check('VMCLEAR', context.vmx.vmclear(vcpu.vmcs));
    check('INVEPT', context.vmx.invept(1, dune.ept.pointer(vcpu.ept)));
    check('INVVPID', context.vmx.invvpid(1, vcpu.vpid, 0n));
  }
  dune.ept.destroy(vcpu.ept);
  services.freeFrame(vcpu.vmcs);
  services.freeFrame(vcpu.msrBitmap);
  state.vcpus.delete(vcpu.id);
}

/** One bit a read and one a write of every MSR: 1 exits. */
function fillMsrBitmap(dune: Dune, frame: number, apicRegisters: boolean): void {
  const { physical } = dune.context;
  physical.fill(frame, 4096, 0xff);
  for (const msr of PASSED_MSRS) for (const write of [false, true]) passMsr(dune, frame, msr, write);
  if (!apicRegisters) return;
  passMsr(dune, frame, X2APIC_ID, false);
  passMsr(dune, frame, X2APIC_EOI, true);
}

function passMsr(dune: Dune, frame: number, msr: number, write: boolean): void {
  const at = frame + (write ? 0x800 : 0) + (msr >= 0xc000_0000 ? 0x400 : 0) + ((msr & 0x1fff) >> 3);
  const [byte] = dune.context.physical.slice(at, 1);
  dune.context.physical.write(at, Uint8Array.of(byte! & ~(1 << (msr & 7))));
}

type Value = readonly [field: number, value: bigint | number];

function initialFields(dune: Dune, vcpu: Vcpu, controls: Controls, cr3: bigint): Value[] {
  return [
    ...controlFields(dune, vcpu, controls),
    ...guestFields(dune, cr3),
    ...constantHostFields(),
    ...hostFields(dune),
  ];
}

function controlFields(dune: Dune, vcpu: Vcpu, controls: Controls): Value[] {
  const fields: Value[] = [
    [Field.pinBasedControls, controls.pin],
    [Field.primaryControls, controls.primary],
    [Field.secondaryControls, controls.secondary],
    [Field.exitControls, controls.exit],
    [Field.entryControls, controls.entry],
    [Field.exceptionBitmap, EXCEPTION_BITMAP],
    [Field.pageFaultErrorCodeMask, 0],
    [Field.pageFaultErrorCodeMatch, 0],
    [Field.cr3TargetCount, 0],
    [Field.exitMsrStoreCount, 0],
    [Field.exitMsrLoadCount, 0],
    [Field.entryMsrLoadCount, 0],
    [Field.entryInterruptionInformation, 0],
    [Field.vpid, vcpu.vpid],
    [Field.eptPointer, dune.ept.pointer(vcpu.ept)],
    [Field.msrBitmaps, vcpu.msrBitmap],
    [Field.tscOffset, 0],
    [Field.cr0Mask, ALL_ONES],
    [Field.cr4Mask, ALL_ONES],
    [Field.cr0Shadow, GUEST_CR0],
    [Field.cr4Shadow, guestCr4(dune)],
  ];
  return fields.concat(apicFields(dune, vcpu.cpu, controls));
}

/** Fields that name pages of the logical CPU the vCPU runs on. */
export function apicFields(dune: Dune, cpu: number, controls: Controls): Value[] {
  const frames = dune.state.cpus[cpu]!;
  const fields: Value[] = [];
  if (controls.primary & TPR_SHADOW)
    fields.push([Field.virtualApicAddress, frames.virtualApic], [Field.tprThreshold, 0]);
  if (controls.secondary & VIRTUAL_INTERRUPTS)
    fields.push(
      [Field.eoiExitBitmap0, 0],
      [Field.eoiExitBitmap1, 0],
      [Field.eoiExitBitmap2, 0],
      [Field.eoiExitBitmap3, 0],
      [Field.guestInterruptStatus, 0],
    );
  if (controls.pin & POSTED_INTERRUPTS)
    fields.push(
      [Field.postedInterruptNotificationVector, POSTED_INTERRUPT_VECTOR],
      [Field.postedInterruptDescriptorAddress, frames.postedInterrupt],
    );
  return fields;
}

function guestCr4(dune: Dune): bigint {
  return GUEST_CR4 | (GUEST_CR4_IF_PRESENT & capability(dune, VMX_CR4_FIXED1));
}

const SEGMENTS = [
  ['Es', 0xa093],
  ['Cs', 0xa09b],
  ['Ss', 0xa093],
  ['Ds', 0xa093],
  ['Fs', 0xa093],
  ['Gs', 0xa093],
] as const;

function guestFields(dune: Dune, cr3: bigint): Value[] {
  const fsBase = dune.context.cpu.segment(Segment.FS).base;
  const fields: Value[] = [
    [Field.guestCr0, GUEST_CR0],
    [Field.guestCr3, cr3],
    [Field.guestCr4, guestCr4(dune)],
    [Field.guestDr7, 0],
    [Field.guestEfer, GUEST_EFER],
    [Field.vmcsLinkPointer, ALL_ONES],
    [Field.guestDebugctl, 0],
    [Field.guestLdtrSelector, 0],
    [Field.guestLdtrBase, 0],
    [Field.guestLdtrLimit, 0],
    [Field.guestLdtrAccessRights, 0x82],
    [Field.guestTrSelector, 0],
    [Field.guestTrBase, 0],
    [Field.guestTrLimit, 0xff],
    [Field.guestTrAccessRights, 0x8b],
    [Field.guestGdtrBase, 0],
    [Field.guestGdtrLimit, 0],
    [Field.guestIdtrBase, 0],
    [Field.guestIdtrLimit, 0],
    [Field.guestSysenterCs, 0],
    [Field.guestSysenterEsp, 0],
    [Field.guestSysenterEip, 0],
    [Field.guestActivity, 0],
    [Field.guestInterruptibility, 0],
    [Field.guestPendingDebugExceptions, 0],
  ];
  for (const [name, rights] of SEGMENTS)
    fields.push(
      [Field[`guest${name}Selector`], 0],
      [Field[`guest${name}Base`], name === 'Fs' ? fsBase : 0],
      [Field[`guest${name}Limit`], 0xffff_ffff],
      [Field[`guest${name}AccessRights`], rights],
    );
  return fields;
}

function constantHostFields(): Value[] {
  return [
    [Field.hostCsSelector, 0x10],
    [Field.hostSsSelector, 0x18],
    [Field.hostDsSelector, 0],
    [Field.hostEsSelector, 0],
    [Field.hostFsSelector, 0],
    [Field.hostGsSelector, 0],
    [Field.hostTrSelector, 0x40],
    [Field.hostTrBase, HOST_TSS],
    [Field.hostGdtrBase, HOST_GDT],
    [Field.hostIdtrBase, HOST_IDT],
    [Field.hostSysenterCs, 0x10],
    [Field.hostSysenterEsp, 0],
    [Field.hostSysenterEip, 0],
    [Field.hostPat, DEFAULT_PAT],
    [Field.hostRip, HOST_RIP],
    [Field.hostRsp, HOST_STACK],
  ];
}

/** What differs from thread to thread. The state page is the thread's own, in root operation. */
export function hostFields(dune: Dune): Value[] {
  const { cpu } = dune.context;
  return [
    [Field.hostCr0, cpu.cr0],
    [Field.hostCr3, cpu.cr3],
    [Field.hostCr4, cpu.cr4],
    [Field.hostEfer, cpu.efer],
    [Field.hostFsBase, cpu.segment(Segment.FS).base],
    [Field.hostGsBase, cpu.segment(Segment.GS).base],
  ];
}

/** For specs: a hypervisor at label `host` and a guest at label `guest`, both in ring 0 of the flat test machine, with an EPT that maps one to one. */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { type CpuModel, DEFAULT_MODEL } from '../cpu/system/models.ts';
import { Segment } from '../cpu/state.ts';
import { GDT, IDT, TSS, type TestMachine, createTestMachine } from '../cpu/system/system-test-support.ts';
import type { VmxStatus } from './api.ts';
import { VMCS_REVISION } from './capabilities.ts';
import { Entry, Exit, Pin, Primary, Secondary } from './controls.ts';
import { Field } from './fields.ts';

const VMXON_REGION = 0x100000;
export const VMCS = 0x101000;
export const MSR_BITMAP = 0x102000;
export const VIRTUAL_APIC = 0x103000;
export const DESCRIPTOR = 0x104000;
export const MSR_AREA = 0x105000;
const EPT = 0x110000;
/** HPA of the EPT entry that maps 2 MB at n * 2 MB. */
export const eptEntry = (n: number): number => EPT + 0x2000 + n * 8;
export const GUEST_STACK = 0x50000;
export const HOST_STACK = 0x58000;
const EPT_LEAF = 7n | (6n << 3n) | 0x80n;

export interface VmxMachine extends TestMachine {
  readonly context: CpuContext;
  field(encoding: number): bigint;
  set(encoding: number, value: bigint | number): void;
  launch(): VmxStatus;
}

/** A VMCS that VMLAUNCH accepts is current. The source needs labels `guest` and `host`; both run until HLT (the guest's exits). */
export function createVmxMachine(source: string, model: CpuModel = DEFAULT_MODEL): VmxMachine {
  const machine = createTestMachine(source, model);
  const { context, symbols } = machine;
  const { physical, vmx, mem } = context;
  physical.write32(VMXON_REGION, VMCS_REVISION);
  physical.write32(VMCS, VMCS_REVISION);
  physical.write64(EPT, BigInt(EPT + 0x1000) | 7n);
  physical.write64(EPT + 0x1000, BigInt(EPT + 0x2000) | 7n);
  for (let page = 0; page < 8; page++) physical.write64(eptEntry(page), BigInt(page * 0x200000) | EPT_LEAF);
  expectSuccess(vmx.vmxon(VMXON_REGION));
  expectSuccess(vmx.vmclear(VMCS));
  expectSuccess(vmx.vmptrld(VMCS));
  const set = (encoding: number, value: bigint | number): void => {
    const status = vmx.vmwrite(encoding, BigInt(value));
    if (status.kind !== 'succeed') throw new Error(`VMWRITE ${encoding.toString(16)}: ${status.kind}`);
  };
  for (const [encoding, value] of baseline(context, symbols.get('guest')!, symbols.get('host')!)) set(encoding, value);
  mem.set64(L.CR2, 0n);
  return { ...machine, field: (encoding) => vmx.field(encoding), set, launch: () => vmx.vmlaunch() };
}

function expectSuccess(status: VmxStatus): void {
  if (status.kind !== 'succeed') throw new Error(JSON.stringify(status));
}

function baseline(context: CpuContext, guest: number, host: number): [number, bigint | number][] {
  const { cpu, vmx, mem } = context;
  const must = (msr: number): number => Number(vmx.capability(msr)! & 0xffff_ffffn);
  const may = (msr: number): number => Number((vmx.capability(msr) ?? 0n) >> 32n);
  const or = (msr: number, bits: number): number => (must(msr) | (bits & may(msr))) >>> 0;
  // Virtual NMIs need NMI exiting.
  const nmis = may(0x48d) & Pin.NmiExiting ? Pin.NmiExiting | Pin.VirtualNmis : 0;
  const segments = (['Es', 'Cs', 'Ss', 'Ds', 'Fs', 'Gs'] as const).flatMap((name): [number, bigint | number][] => [
    [Field[`guest${name}Selector`], name === 'Cs' ? 0x10 : 0x18],
    [Field[`guest${name}Limit`], 0xffff_ffff],
    [Field[`guest${name}AccessRights`], name === 'Cs' ? 0xa09b : 0xc093],
    [Field[`host${name}Selector`], name === 'Cs' ? 0x10 : 0x18],
  ]);
  return [
    [Field.pinBasedControls, or(0x48d, Pin.ExternalInterruptExiting | nmis)],
    [Field.primaryControls, or(0x48e, Primary.HltExiting | Primary.MsrBitmaps | Primary.SecondaryControls)],
    [Field.secondaryControls, (Secondary.Ept | Secondary.Vpid) & may(0x48b)],
    [Field.exitControls, or(0x48f, Exit.Host64 | Exit.AcknowledgeInterrupt)],
    [Field.entryControls, or(0x490, Entry.Ia32eGuest)],
    [Field.vpid, 1],
    [Field.eptPointer, EPT | 0x1e],
    [Field.msrBitmaps, MSR_BITMAP],
    [Field.vmcsLinkPointer, 0xffff_ffff_ffff_ffffn],
    ...segments,
    [Field.guestLdtrAccessRights, 0x1_0000],
    [Field.guestTrSelector, 0x38],
    [Field.guestTrBase, TSS],
    [Field.guestTrLimit, 0x67],
    [Field.guestTrAccessRights, 0x8b],
    [Field.hostTrSelector, 0x38],
    [Field.hostTrBase, TSS],
    [Field.guestGdtrBase, GDT],
    [Field.guestGdtrLimit, 0x7f],
    [Field.guestIdtrBase, IDT],
    [Field.guestIdtrLimit, 0xfff],
    [Field.hostGdtrBase, GDT],
    [Field.hostIdtrBase, IDT],
    [Field.guestCr0, cpu.cr0],
    [Field.hostCr0, cpu.cr0],
    [Field.guestCr3, cpu.cr3],
    [Field.hostCr3, cpu.cr3],
    [Field.guestCr4, cpu.cr4],
    [Field.hostCr4, cpu.cr4],
    [Field.guestRsp, GUEST_STACK],
    [Field.hostRsp, HOST_STACK],
    [Field.guestRip, guest],
    [Field.hostRip, host],
    [Field.guestRflags, 2],
    [Field.guestDr7, 0x400],
    [Field.guestFsBase, cpu.segment(Segment.FS).base],
    [Field.hostFsBase, 0],
    [Field.guestDebugctl, mem.get64(L.MSR_DEBUGCTL)],
  ];
}

/** VT-x as the CPU and the Dune module see it. Everything goes through the fields of a VMCS region in memory. */
import type { Fault } from '../cpu/engine-api.ts';

/** Outcome of a VMX instruction (SDM 3C 31.2): carry and zero flag as the instruction leaves them. */
export type VmxStatus =
  | { readonly kind: 'succeed' }
  | { readonly kind: 'fail-invalid' }
  /** VM-instruction error number, also written to field 4400h. */
  | { readonly kind: 'fail-valid'; readonly error: number };

/** One violated VM-entry check. */
export interface CheckFailure {
  /** Stable name, e.g. 'guest.cs.rights.type'. */
  readonly id: string;
  readonly group: 'controls' | 'host' | 'guest' | 'msr-load';
  /** "SDM 3C 27.3.1.2" */
  readonly section: string;
  /** What the check wants, in words. */
  readonly wants: string;
  /** What stands there. */
  readonly found: string;
  /** Field encodings involved. */
  readonly fields: readonly number[];
}

export interface Vmx {
  vmxon(hpa: number): VmxStatus;
  vmxoff(): VmxStatus;
  vmclear(hpa: number): VmxStatus;
  vmptrld(hpa: number): VmxStatus;
  /** Current VMCS pointer (HPA), or -1. */
  vmptrst(): number;
  /** By encoding; bit 0 of a 64-bit field's encoding reads its high half. */
  vmread(encoding: number): bigint | VmxStatus;
  /** VMREAD of which the low 32 bits are wanted; -1 where it fails. */
  vmread32(encoding: number): number;
  vmwrite(encoding: number, value: bigint): VmxStatus;
  /** On success the CPU is in non-root operation. A failed entry for guest state or MSRs takes a VM exit (reason bit 31) instead. */
  vmlaunch(): VmxStatus;
  vmresume(): VmxStatus;
  invept(type: number, eptp: bigint): VmxStatus;
  invvpid(type: number, vpid: number, gva: bigint): VmxStatus;

  /** Field of the current VMCS without the instruction's checks (debugger, tables, exit path). */
  field(encoding: number): bigint;
  setField(encoding: number, value: bigint): void;

  /** In non-root operation: does this event exit? If so the exit has been taken, or a listener has held it. */
  interceptEvent(fault: Fault): boolean;
  /**
   * Takes a VM exit: saves guest state, fills the information fields, loads host state, tells the supervisor. False if a listener held
   * its event: the guest stands at the start of the instruction, only the information fields are written.
   */
  exit(reason: number, information?: ExitInformation): boolean;
  /** Violated entry checks of the current VMCS, all of them, in SDM order. Empty if an entry would succeed. */
  violatedChecks(): CheckFailure[];
  /** Capability MSRs 480h..491h and IA32_FEATURE_CONTROL; undefined if not a VMX MSR. */
  capability(msr: number): bigint | undefined;
  /** Bitmap decision for RDMSR/WRMSR in non-root operation. */
  msrExits(msr: number, write: boolean): boolean;
  /** x2APIC registers of the virtual-APIC page; undefined when this MSR is not virtualised now. */
  readVirtualApic(msr: number): bigint | undefined;
  /** `refused` says why it is #GP(0). With `eoiVector`, VIRTUALIZED_EOI is to be taken after the instruction. */
  writeVirtualApic(msr: number, value: bigint): { readonly eoiVector?: number; readonly refused?: string } | undefined;
  /** Between two instructions: delivers a pending virtual interrupt if the guest can take it. True if RIP stands at its handler. */
  deliverVirtualInterrupt(): boolean;
}

export interface ExitInformation {
  readonly qualification?: bigint;
  readonly guestLinearAddress?: bigint;
  readonly guestPhysicalAddress?: number;
  readonly interruptionInformation?: number;
  readonly interruptionErrorCode?: number;
  /** Bytes. */
  readonly instructionLength?: number;
  readonly instructionInformation?: number;
}

/** VT-x as the CPU and the Dune module see it. Everything goes through the fields of a VMCS region in memory. */
import type { EptFault, Fault } from '../cpu/engine-api.ts';
import type { VirtualWrite } from './posted.ts';

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
  /** What is wrong with it in particular: which bits, which rule of an MSR. */
  readonly because?: string;
  /** Of an MSR-load area: the number of its entry, from 1, which is the exit qualification of the failed VM entry. */
  readonly entry?: number;
}

export interface Vmx {
  vmxon(hpa: number): VmxStatus;
  vmxoff(): VmxStatus;
  vmclear(hpa: number): VmxStatus;
  vmptrld(hpa: number): VmxStatus;
  /** Current VMCS pointer (HPA), or -1. */
  vmptrst(): number;
  /** VMfail (SDM 3C 31.2): VMfailInvalid without a current VMCS, else the number goes to its VM-instruction error field. */
  fail(error: number): VmxStatus;
  /** By encoding; bit 0 of a 64-bit field's encoding reads its high half. */
  vmread(encoding: number): bigint | VmxStatus;
  /** VMREAD of which the low 32 bits are wanted; -1 where it fails. */
  vmread32(encoding: number): number;
  /** VMREAD of a physical address, or another value below 2^53; -1 where it fails. */
  vmreadAddress(encoding: number): number;
  vmwrite(encoding: number, value: bigint): VmxStatus;
  /** On success the CPU is in non-root operation. A failed entry for guest state or MSRs takes a VM exit (reason bit 31) instead. */
  vmlaunch(): VmxStatus;
  vmresume(): VmxStatus;
  /** In non-root operation: whether VMREAD or VMWRITE of this encoding goes to the shadow VMCS (SDM 3C 25.10); else it exits. */
  isShadowed(encoding: bigint, write: boolean): boolean;
  /** VMREAD and VMWRITE of the shadow VMCS, which the link pointer names. */
  shadowRead(encoding: number): bigint | VmxStatus;
  shadowWrite(encoding: number, value: bigint): VmxStatus;
  /** VMFUNC with EAX and ECX. False if it exits. */
  callFunction(number: number, argument: number): boolean;
  invept(type: number, eptp: bigint): VmxStatus;
  invvpid(type: number, vpid: number, gva: bigint): VmxStatus;

  /** Field of the current VMCS without the instruction's checks (debugger, tables, exit path). */
  field(encoding: number): bigint;
  setField(encoding: number, value: bigint): void;

  /** The #VE that an EPT violation becomes (SDM 3C 26.5.7), its information written; undefined if it exits. */
  convertViolation(fault: EptFault): Fault | undefined;
  /** In non-root operation: does this event exit? If so the exit has been taken, or a listener has held it. */
  interceptEvent(fault: Fault): boolean;
  /** In non-root operation: takes the common VM exit of the EPT violation in FAULT_*; false, with nothing changed, if the whole way has to be gone. */
  exitByViolation(): boolean;
  /** Goes on with a violation that the core has served as far as SUPPLY_* says. */
  supplied(served: number): void;
  /** Takes note of violations that the core has served by a lease (core/page-lease.ts). */
  settleLease(): void;
  /**
   * Takes a VM exit: saves guest state, fills the information fields, loads host state, tells the supervisor. False if a listener held
   * its event: the guest stands at the start of the instruction, only the information fields are written.
   */
  exit(reason: number, information?: ExitInformation): boolean;
  /** Whether a VMCS says what the other level of VMX operation is: the hypervisor under the guest that runs, or the guest of the current VMCS. */
  hasOtherLevel(): boolean;
  /** Loads it into the state page, to be looked at. The caller keeps the page, and puts it back before anything runs. */
  showOtherLevel(): void;
  /** Violated entry checks of the current VMCS, all of them, in SDM order. Empty if an entry would succeed. */
  violatedChecks(): CheckFailure[];
  /** Capability MSRs 480h..491h and IA32_FEATURE_CONTROL; undefined if not a VMX MSR. */
  capability(msr: number): bigint | undefined;
  /** Bitmap decision for RDMSR/WRMSR in non-root operation. */
  msrExits(msr: number, write: boolean): boolean;
  /** x2APIC registers of the virtual-APIC page; undefined when this MSR is not virtualised now. */
  readVirtualApic(msr: number): bigint | undefined;
  writeVirtualApic(msr: number, value: bigint): VirtualWrite | undefined;
  /** What would follow `writeVirtualApic`, or a MOV to CR8 under a TPR shadow. Changes nothing. */
  foreseeVirtualApic(msr: number, value: bigint): VirtualWrite | undefined;
  foreseeVirtualTpr(tpr: number): VirtualWrite;
  /** MOV to CR8 has written the TPR of the virtual-APIC page. */
  virtualTprWritten(): VirtualWrite;
  /**
   * An external interrupt waits: 'exit' takes it from no APIC (the exit is to be taken by `exit`), 'acknowledge' fetches its vector and then delivers it
   * whatever RFLAGS.IF says. Undefined: it is delivered as ever.
   */
  externalInterrupt(): 'exit' | 'acknowledge' | undefined;
  /** Between two instructions of a guest: takes the exit that is due, if any. `nmi`: ahead of NMIs, else behind them. True if one was taken. */
  boundary(nmi: boolean): boolean;
  /** Lets the time pass that the VMX-preemption timer still has. */
  expireTimer(): void;
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

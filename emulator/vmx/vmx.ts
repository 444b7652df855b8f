/** VT-x of one machine (SDM 3C chapters 24 to 31). All its state is in the CPU state page and in VMCS regions in memory. */
import type { CpuContext } from '../cpu/context.ts';
import { type EptFault, type Fault, InterruptionType } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import { cr4Known } from '../cpu/system/control-registers.ts';
import { isCanonicalBase } from '../cpu/system/memory.ts';
import type { CheckFailure, ExitInformation, Vmx, VmxStatus } from './api.ts';
import { ApicPage } from './apic-page.ts';
import { exitAtBoundary } from './boundary.ts';
import {
  INVEPT_TYPES,
  INVVPID_TYPES,
  REGION_BYTES,
  SHADOW_INDICATOR,
  VMCS_REVISION,
  WRITES_INFORMATION,
  capabilityMsrs,
} from './capabilities.ts';
import { Exit, Pin, Secondary } from './controls.ts';
import { isEptp } from './eptp.ts';
import { callFunction } from './functions.ts';
import { isShadowed } from './shadowing.ts';
import { SETTLED_WRITES, violatedGroup } from './checks/index.ts';
import { AREA_CHECK, violatedLoads } from './checks/msr-load.ts';
import { changesRows } from './checks/segments.ts';
import { enter, enterPlainly } from './entry.ts';
import { VmxError } from './errors.ts';
import { exitByViolation, takeExit } from './exit.ts';
import { afterSupply, settleLease } from './supply.ts';
import { Field, vmcsField } from './fields.ts';
import { exitOfEvent, msrExits } from './intercepts.ts';
import { hasOtherLevel, showOtherLevel } from './other-level.ts';
import { convertViolation } from './virtualization-exception.ts';
import { installMoves } from './transfer.ts';
import { VirtualApic, type VirtualWrite } from './posted.ts';
import { CurrentVmcs, clearRegion, hasField } from './vmcs.ts';

const SUCCEED: VmxStatus = { kind: 'succeed' };
const FAIL_INVALID: VmxStatus = { kind: 'fail-invalid' };
const FEATURE_CONTROL = 0x3a;
const SECONDARY_CAPABILITIES = 0x48b;
const NO_POINTER = 0xffff_ffff_ffff_ffffn;

class VirtualMachineExtensions implements Vmx {
  readonly #context: CpuContext;
  readonly #vmcs: CurrentVmcs;
  readonly #capabilities: ReadonlyMap<number, bigint>;
  readonly #apic: VirtualApic;
  readonly #apicPage: ApicPage;

  constructor(context: CpuContext) {
    this.#context = context;
    this.#vmcs = new CurrentVmcs(context.mem);
    this.#capabilities = capabilityMsrs(cr4Known(context.model), context.model.vmxLacks);
    installMoves(context.mem);
    this.#apic = new VirtualApic(context, this.#vmcs);
    this.#apicPage = new ApicPage(context, this.#vmcs, this.#apic);
  }

  vmxon(hpa: number): VmxStatus {
    const { mem } = this.#context;
    if (mem.get32(L.VMX_ON)) return this.fail(VmxError.VmxonInRoot);
    if (!this.#isAddress(hpa) || this.#revision(hpa) !== VMCS_REVISION) return FAIL_INVALID;
    mem.set32(L.VMX_ON, 1);
    mem.set64(L.VMXON_POINTER, BigInt(hpa));
    this.#vmcs.pointer = -1;
    return SUCCEED;
  }

  vmxoff(): VmxStatus {
    const { mem } = this.#context;
    mem.set32(L.VMX_ON, 0);
    mem.set64(L.VMXON_POINTER, NO_POINTER);
    this.#vmcs.pointer = -1;
    return SUCCEED;
  }

  vmclear(hpa: number): VmxStatus {
    if (!this.#isAddress(hpa)) return this.fail(VmxError.VmclearAddress);
    if (this.#isVmxonRegion(hpa)) return this.fail(VmxError.VmclearVmxonPointer);
    if (this.#context.physical.has(hpa, REGION_BYTES)) clearRegion(this.#context.mem, hpa);
    if (this.#vmcs.pointer === hpa) this.#vmcs.pointer = -1;
    return SUCCEED;
  }

  vmptrld(hpa: number): VmxStatus {
    if (!this.#isAddress(hpa)) return this.fail(VmxError.VmptrldAddress);
    if (this.#isVmxonRegion(hpa)) return this.fail(VmxError.VmptrldVmxonPointer);
    const revision = this.#revision(hpa);
    const shadow = revision >>> 31 === 1;
    if ((revision & ~SHADOW_INDICATOR) !== VMCS_REVISION || (shadow && !this.#supports(Secondary.VmcsShadowing)))
      return this.fail(VmxError.VmptrldRevision);
    this.#vmcs.pointer = hpa;
    return SUCCEED;
  }

  vmptrst(): number {
    return this.#vmcs.pointer;
  }

  vmread(encoding: number): bigint | VmxStatus {
    if (this.#vmcs.pointer < 0) return FAIL_INVALID;
    if (!hasField(encoding)) return this.fail(VmxError.UnsupportedField);
    return this.#vmcs.read(encoding);
  }

  vmread32(encoding: number): number {
    if (this.#vmcs.pointer < 0 || !hasField(encoding)) return -1;
    return this.#vmcs.read32(encoding);
  }

  vmreadAddress(encoding: number): number {
    if (this.#vmcs.pointer < 0 || !hasField(encoding)) return -1;
    return this.#vmcs.address(encoding);
  }

  vmwrite(encoding: number, value: bigint): VmxStatus {
    if (this.#vmcs.pointer < 0) return FAIL_INVALID;
    if (!hasField(encoding)) return this.fail(VmxError.UnsupportedField);
    if (!vmcsField(encoding)!.writable && this.#context.model.vmxLacks?.has(WRITES_INFORMATION))
      return this.fail(VmxError.ReadOnlyField);
    this.setField(encoding, value);
    return SUCCEED;
  }

  vmlaunch(): VmxStatus {
    return this.#enter(true);
  }

  vmresume(): VmxStatus {
    return this.#enter(false);
  }
  #enter(launch: boolean): VmxStatus {
    if (!launch && this.#vmcs.pointer >= 0 && enterPlainly(this.#context, this.#vmcs)) return SUCCEED;
    const status = enter(this.#context, this.#vmcs, launch);
    if (status.kind === 'succeed' && this.#context.cpu.nonRoot) this.#exitAfter(this.#apic.entered());
    return status;
  }

  isShadowed(encoding: bigint, write: boolean): boolean {
    return isShadowed(this.#context, this.#vmcs, encoding, write);
  }
  shadowRead(encoding: number): bigint | VmxStatus {
    return this.#ofShadow(() => this.vmread(encoding));
  }
  shadowWrite(encoding: number, value: bigint): VmxStatus {
    return this.#ofShadow(() => this.vmwrite(encoding, value));
  }
  /** Does it with the VMCS that the link pointer names as the current one. */
  #ofShadow<T>(action: () => T): T | VmxStatus {
    const current = this.#vmcs.pointer;
    const link = this.#vmcs.read(Field.vmcsLinkPointer);
    if (link === NO_POINTER || !this.#context.physical.has(Number(link), REGION_BYTES)) return FAIL_INVALID;
    this.#vmcs.pointer = Number(link);
    const result = action();
    this.#vmcs.pointer = current;
    // The number goes to the VMCS of the guest that executes the instruction (SDM 3C 31.2).
    if (typeof result === 'object' && (result as VmxStatus).kind === 'fail-valid')
      return this.fail((result as { readonly error: number }).error);
    return result;
  }
  callFunction(number: number, argument: number): boolean {
    return callFunction(this.#context, this.#vmcs, number, argument);
  }

  invept(type: number, eptp: bigint): VmxStatus {
    if (!INVEPT_TYPES.includes(type) || (type === 1 && !isEptp(this.#context, eptp)))
      return this.fail(VmxError.InvalidInvalidation);
    this.#context.mmu.invalidateEpt(type, eptp);
    return SUCCEED;
  }

  invvpid(type: number, vpid: number, gva: bigint): VmxStatus {
    const canonical = isCanonicalBase(this.#context, gva);
    const refused = !INVVPID_TYPES.includes(type) || (type !== 2 && vpid === 0) || (type === 0 && !canonical);
    if (refused) return this.fail(VmxError.InvalidInvalidation);
    this.#context.mmu.invalidateVpid(type, vpid, gva);
    return SUCCEED;
  }

  field(encoding: number): bigint {
    return this.#vmcs.read(encoding);
  }

  setField(encoding: number, value: bigint): void {
    const settled = SETTLED_WRITES.has(encoding) && !changesRows(encoding, this.#vmcs.read32(encoding), value);
    this.#vmcs.write(encoding, value);
    if (!settled) this.#vmcs.checked = false;
  }

  convertViolation(fault: EptFault): Fault | undefined {
    return convertViolation(this.#context, this.#vmcs, fault);
  }

  interceptEvent(fault: Fault): boolean {
    if (fault.kind === 'apic-access' && this.#apicPage.redirect(fault)) return true;
    if (
      fault.kind === 'exception' &&
      fault.type === InterruptionType.External &&
      this.#apic.takeNotification(fault.vector)
    ) {
      this.#context.endOfInterrupt();
      return true;
    }
    const exit = exitOfEvent(this.#context, this.#vmcs, fault);
    if (!exit) return false;
    this.exit(exit.reason, exit.information);
    return true;
  }

  exitByViolation(): boolean {
    return exitByViolation(this.#context, this.#vmcs);
  }

  supplied(served: number): void {
    afterSupply(this.#context, served);
  }
  settleLease(): void {
    settleLease(this.#context);
  }

  exit(reason: number, information: ExitInformation = {}): boolean {
    return takeExit(this.#context, this.#vmcs, reason, information);
  }

  hasOtherLevel(): boolean {
    return hasOtherLevel(this.#context, this.#vmcs);
  }
  showOtherLevel(): void {
    showOtherLevel(this.#context, this.#vmcs);
  }

  violatedChecks(): CheckFailure[] {
    if (this.#vmcs.pointer < 0) return [];
    const { checked } = this.#vmcs;
    this.#vmcs.checked = false;
    const failures = (['controls', 'host', 'guest'] as const).flatMap((group) =>
      violatedGroup(this.#context, this.#vmcs, group),
    );
    this.#vmcs.checked = checked;
    if (!failures.some(({ id }) => id === AREA_CHECK)) failures.push(...violatedLoads(this.#context, this.#vmcs));
    return failures.map(({ qualification: _, ...failure }) => failure);
  }

  capability(msr: number): bigint | undefined {
    return msr === FEATURE_CONTROL ? this.#context.mem.get64(L.MSR_FEATURE_CONTROL) : this.#capabilities.get(msr);
  }

  msrExits(msr: number, write: boolean): boolean {
    return msrExits(this.#context, this.#vmcs, msr, write);
  }

  readVirtualApic(msr: number): bigint | undefined {
    return this.#apic.readMsr(msr);
  }
  writeVirtualApic(msr: number, value: bigint): ReturnType<Vmx['writeVirtualApic']> {
    return this.#apic.writeMsr(msr, value);
  }
  foreseeVirtualApic(msr: number, value: bigint): VirtualWrite | undefined {
    return this.#apic.foreseeMsr(msr, value);
  }
  foreseeVirtualTpr(tpr: number): VirtualWrite {
    return this.#apic.foreseeTpr(tpr);
  }
  virtualTprWritten(): VirtualWrite {
    return this.#apic.tprWritten();
  }
  externalInterrupt(): 'exit' | 'acknowledge' | undefined {
    if (!this.#context.cpu.nonRoot) return undefined;
    if (!(this.#vmcs.read32(Field.pinBasedControls) & Pin.ExternalInterruptExiting)) return undefined;
    return this.#vmcs.read32(Field.exitControls) & Exit.AcknowledgeInterrupt ? 'acknowledge' : 'exit';
  }
  #exitAfter(write: VirtualWrite | undefined): boolean {
    if (write?.exit === undefined) return false;
    const { exit, qualification } = write;
    this.exit(exit, qualification === undefined ? {} : { qualification: BigInt(qualification) });
    return true;
  }
  boundary(nmi: boolean): boolean {
    if (this.#exitAfter(this.#apicPage.finish())) return true;
    const reason = exitAtBoundary(this.#context, this.#vmcs, nmi);
    if (reason === undefined) return false;
    this.exit(reason);
    return true;
  }
  expireTimer(): void {
    const { mem } = this.#context;
    const left = mem.get64(L.TIMER_DEADLINE) - mem.get64(L.CYCLES);
    if (left > 0n) this.#context.addCycles(Number(left));
  }
  deliverVirtualInterrupt(): boolean {
    const { core, mem } = this.#context;
    if (mem.get32(L.NON_ROOT) === 0 || core.mayInterrupt(this.#vmcs.region()) === 0) return false;
    return this.#apic.deliverPending();
  }

  fail(error: number): VmxStatus {
    if (this.#vmcs.pointer < 0) return FAIL_INVALID;
    this.#vmcs.write32(Field.instructionError, error);
    return { kind: 'fail-valid', error };
  }

  /** Fit for a region: 4-KByte aligned, within the physical-address width. */
  #isAddress(hpa: number): boolean {
    return hpa >= 0 && hpa % REGION_BYTES === 0 && hpa < 2 ** this.#context.mem.get32(L.PHYS_BITS);
  }
  #isVmxonRegion(hpa: number): boolean {
    return this.#context.mem.get64(L.VMXON_POINTER) === BigInt(hpa);
  }
  /** All ones where there is no memory. */
  #revision(hpa: number): number {
    const { physical } = this.#context;
    return physical.has(hpa, REGION_BYTES) ? physical.read32(hpa) : 0xffff_ffff;
  }
  #supports(secondary: number): boolean {
    return ((this.#capabilities.get(SECONDARY_CAPABILITIES)! >> 32n) & BigInt(secondary)) !== 0n;
  }
}

export function createVmx(context: CpuContext): Vmx {
  return new VirtualMachineExtensions(context);
}

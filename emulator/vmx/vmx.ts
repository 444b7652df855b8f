/** VT-x of one machine (SDM 3C chapters 24 to 31). All its state is in the CPU state page and in VMCS regions in memory. */
import type { CpuContext } from '../cpu/context.ts';
import type { Fault } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import { cr4Known } from '../cpu/system/control-registers.ts';
import { isCanonicalBase } from '../cpu/system/memory.ts';
import type { CheckFailure, ExitInformation, Vmx, VmxStatus } from './api.ts';
import { VMCS_REVISION, capabilityMsrs } from './capabilities.ts';
import { SETTLED_WRITES, violatedGroup } from './checks/index.ts';
import { enter } from './entry.ts';
import { VmxError } from './errors.ts';
import { takeExit } from './exit.ts';
import { Field, vmcsField } from './fields.ts';
import { exitOfEvent, msrExits } from './intercepts.ts';
import { installMoves } from './transfer.ts';
import { VirtualApic } from './posted.ts';
import { CurrentVmcs, clearRegion, hasField } from './vmcs.ts';

const SUCCEED: VmxStatus = { kind: 'succeed' };
const FAIL_INVALID: VmxStatus = { kind: 'fail-invalid' };
const FEATURE_CONTROL = 0x3a;
const NO_POINTER = 0xffff_ffff_ffff_ffffn;

const INVEPT_TYPES = new Set([1, 2]);
const INVVPID_TYPES = new Set([0, 1, 2, 3]);

class VirtualMachineExtensions implements Vmx {
  readonly #context: CpuContext;
  readonly #vmcs: CurrentVmcs;
  readonly #capabilities: ReadonlyMap<number, bigint>;
  readonly #apic: VirtualApic;

  constructor(context: CpuContext) {
    this.#context = context;
    this.#vmcs = new CurrentVmcs(context.mem);
    this.#capabilities = capabilityMsrs(cr4Known(context.model));
    installMoves(context.mem);
    this.#apic = new VirtualApic(context, this.#vmcs);
  }

  vmxon(hpa: number): VmxStatus {
    const { mem } = this.#context;
    if (mem.get32(L.VMX_ON)) return this.#fail(VmxError.VmxonInRoot);
    if (!this.#isRegion(hpa) || this.#revision(hpa) !== VMCS_REVISION) return FAIL_INVALID;
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
    if (!this.#isRegion(hpa)) return this.#fail(VmxError.VmclearAddress);
    if (this.#isVmxonRegion(hpa)) return this.#fail(VmxError.VmclearVmxonPointer);
    clearRegion(this.#context.mem, hpa);
    if (this.#vmcs.pointer === hpa) this.#vmcs.pointer = -1;
    return SUCCEED;
  }

  vmptrld(hpa: number): VmxStatus {
    if (!this.#isRegion(hpa)) return this.#fail(VmxError.VmptrldAddress);
    if (this.#isVmxonRegion(hpa)) return this.#fail(VmxError.VmptrldVmxonPointer);
    if (this.#revision(hpa) !== VMCS_REVISION) return this.#fail(VmxError.VmptrldRevision);
    this.#vmcs.pointer = hpa;
    return SUCCEED;
  }

  vmptrst(): number {
    return this.#vmcs.pointer;
  }

  vmread(encoding: number): bigint | VmxStatus {
    if (this.#vmcs.pointer < 0) return FAIL_INVALID;
    if (!hasField(encoding)) return this.#fail(VmxError.UnsupportedField);
    return this.#vmcs.read(encoding);
  }

  vmread32(encoding: number): number {
    if (this.#vmcs.pointer < 0 || !hasField(encoding)) return -1;
    return this.#vmcs.read32(encoding);
  }

  vmwrite(encoding: number, value: bigint): VmxStatus {
    if (this.#vmcs.pointer < 0) return FAIL_INVALID;
    if (!hasField(encoding)) return this.#fail(VmxError.UnsupportedField);
    if (!vmcsField(encoding)!.writable) return this.#fail(VmxError.ReadOnlyField);
    this.setField(encoding, value);
    return SUCCEED;
  }

  vmlaunch(): VmxStatus {
    return enter(this.#context, this.#vmcs, true);
  }

  vmresume(): VmxStatus {
    return enter(this.#context, this.#vmcs, false);
  }

  invept(type: number, eptp: bigint): VmxStatus {
    if (!INVEPT_TYPES.has(type) || (type === 1 && !this.#acceptableEptp(eptp)))
      return this.#fail(VmxError.InvalidInvalidation);
    this.#context.mmu.invalidateEpt(type, eptp);
    return SUCCEED;
  }

  invvpid(type: number, vpid: number, gva: bigint): VmxStatus {
    const canonical = isCanonicalBase(this.#context, gva);
    const refused = !INVVPID_TYPES.has(type) || (type !== 2 && vpid === 0) || (type === 0 && !canonical);
    if (refused) return this.#fail(VmxError.InvalidInvalidation);
    this.#context.mmu.invalidateVpid(type, vpid, gva);
    return SUCCEED;
  }

  field(encoding: number): bigint {
    return this.#vmcs.read(encoding);
  }

  setField(encoding: number, value: bigint): void {
    this.#vmcs.write(encoding, value);
    if (!SETTLED_WRITES.has(encoding)) this.#vmcs.checked = false;
  }

  interceptEvent(fault: Fault): boolean {
    const exit = exitOfEvent(this.#vmcs, fault);
    if (!exit) return false;
    this.exit(exit.reason, exit.information);
    return true;
  }

  exit(reason: number, information: ExitInformation = {}): boolean {
    return takeExit(this.#context, this.#vmcs, reason, information);
  }

  violatedChecks(): CheckFailure[] {
    if (this.#vmcs.pointer < 0) return [];
    const { checked } = this.#vmcs;
    this.#vmcs.checked = false;
    const failures = (['controls', 'host', 'guest'] as const).flatMap((group) =>
      violatedGroup(this.#context, this.#vmcs, group),
    );
    this.#vmcs.checked = checked;
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
  deliverVirtualInterrupt(): boolean {
    return this.#apic.deliverPending();
  }

  /** VMfail (SDM 3C 31.2): with a current VMCS the number goes to its VM-instruction error field. */
  #fail(error: number): VmxStatus {
    if (this.#vmcs.pointer < 0) return FAIL_INVALID;
    this.#vmcs.write32(Field.instructionError, error);
    return { kind: 'fail-valid', error };
  }

  #isRegion(hpa: number): boolean {
    return hpa % 4096 === 0 && this.#context.physical.has(hpa, 4096);
  }
  #isVmxonRegion(hpa: number): boolean {
    return this.#context.mem.get64(L.VMXON_POINTER) === BigInt(hpa);
  }
  #revision(hpa: number): number {
    return this.#context.physical.read32(hpa);
  }
  /** As a VM entry would accept it (SDM 3C 27.2.1.1). */
  #acceptableEptp(eptp: bigint): boolean {
    const type = eptp & 7n;
    const width = BigInt(this.#context.mem.get32(L.PHYS_BITS));
    return (type === 0n || type === 6n) && ((eptp >> 3n) & 7n) === 3n && (eptp & 0xf80n) === 0n && eptp >> width === 0n;
  }
}

export function createVmx(context: CpuContext): Vmx {
  return new VirtualMachineExtensions(context);
}

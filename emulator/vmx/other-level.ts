/**
 * The other level of VMX operation of a processor, for who looks at it: while a guest runs the hypervisor as the next VM exit would load it, and in root operation the guest as
 * the next VMRESUME would. What neither switches (general registers but RSP, vector registers) belongs to the level that runs.
 */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { deriveCode } from '../cpu/system/descriptors.ts';
import { REGION_BYTES } from './capabilities.ts';
import { Secondary } from './controls.ts';
import { Field } from './fields.ts';
import { leaveForce } from './in-force.ts';
import { secondaryControls } from './queries.ts';
import { loadGuest, loadGuestPdptes, loadHost, loadHostPdptes } from './transfer.ts';
import type { CurrentVmcs } from './vmcs.ts';

/** Whether a VMCS says what the other level is. */
export function hasOtherLevel({ mem, cpu, physical }: CpuContext, vmcs: CurrentVmcs): boolean {
  if (mem.get32(L.VMX_ON) === 0 || vmcs.pointer < 0 || !physical.has(vmcs.pointer, REGION_BYTES)) return false;
  return cpu.nonRoot || (vmcs.launched && !vmcs.isShadow);
}

/** Loads it into the state page and into nothing else: no TLB, no event, no time hears of it. The caller keeps the page, and puts it back. */
export function showOtherLevel(context: CpuContext, vmcs: CurrentVmcs): void {
  const { mem } = context;
  // A change of AC or VM would be reported as one of context.
  if (context.cpu.nonRoot) {
    mem.set32(L.SYSTEM_FLAGS, 0);
    loadHost(context, vmcs);
    leaveForce(context);
    loadHostPdptes(context);
  } else {
    const secondary = secondaryControls(vmcs);
    mem.set32(L.SYSTEM_FLAGS, vmcs.read32(Field.guestRflags));
    loadGuest(context, vmcs);
    mem.set32(L.NON_ROOT, 1);
    if (secondary & Secondary.Ept) vmcs.load64(Field.eptPointer, L.EPTP);
    mem.set32(L.VPID, secondary & Secondary.Vpid ? vmcs.read32(Field.vpid) : 0);
    mem.set32(L.VMX_MODE, secondary & Secondary.ModeBasedExecute ? L.VMX_MODE_BASED_EXECUTE : 0);
    loadGuestPdptes(context, vmcs);
  }
  deriveCode(mem);
}

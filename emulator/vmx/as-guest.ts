/** The processor as the guest of the current VMCS would find it, for a moment. */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { showOtherLevel } from './other-level.ts';
import type { CurrentVmcs } from './vmcs.ts';

/**
 * In root operation the guest-state area is loaded as a VM entry would, without its checks. The state page is put back, whatever `look` did to it;
 * `look` must change nothing else. Neither the engine nor a TLB hears of it.
 */
export function asGuest<T>(context: CpuContext, vmcs: CurrentVmcs, look: () => T): T {
  const { mem, cpu } = context;
  const state = cpu.save();
  const fault = mem.bytes.slice(L.FAULT_KIND, L.FAULT_QUALIFICATION + 8);
  try {
    if (!cpu.nonRoot) showOtherLevel(context, vmcs);
    return look();
  } finally {
    mem.bytes.set(state, L.STATE);
    mem.bytes.set(fault, L.FAULT_KIND);
  }
}

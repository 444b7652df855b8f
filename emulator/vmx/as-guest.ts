/** The processor as the guest of the current VMCS would find it, for a moment. */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { updateDerived } from '../cpu/system/descriptors.ts';
import { putInForce } from './in-force.ts';
import { loadGuest, loadGuestPdptes } from './transfer.ts';
import type { CurrentVmcs } from './vmcs.ts';

/**
 * In root operation the guest-state area is loaded as a VM entry would, without its checks. The processor's state is put back, whatever `look` did to it;
 * `look` must change nothing else.
 */
export function asGuest<T>(context: CpuContext, vmcs: CurrentVmcs, look: () => T): T {
  const { cpu, mem, engine } = context;
  const state = cpu.save();
  try {
    if (!cpu.nonRoot) {
      loadGuest(context, vmcs);
      mem.set32(L.NON_ROOT, 1);
      putInForce(context, vmcs);
      loadGuestPdptes(context, vmcs);
      updateDerived(context);
    }
    return look();
  } finally {
    cpu.load(state);
    engine.contextChanged();
  }
}

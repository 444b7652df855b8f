/** EPT violations that the core serves, the supervisor's part included: the exit, the page, the entry after it (core/page-supply.ts, core/page-lease.ts). */
import * as C from '../cpu/codes.ts';
import type { CpuContext } from '../cpu/context.ts';
import { CPU_COSTS } from '../cpu/costs.ts';
import * as L from '../cpu/layout.ts';
import { ExitReason, exitReasonName } from './exit-reasons.ts';

export const EPT_VIOLATION = exitReasonName(ExitReason.EptViolation);

/** The violation in FAULT_*, as far as the core can do it; false if it can do nothing. */
export function supplyPage(context: CpuContext): boolean {
  const { engine, events } = context;
  const { supervisor } = engine;
  if (!supervisor?.supplyPage || events.wants('ept-violation') || events.wants('vm-entry')) return false;
  const served = supervisor.supplyPage();
  if (served !== C.SUPPLY_NONE) afterSupply(context, served);
  return served !== C.SUPPLY_NONE;
}

/** What is left to do of one that the core has served so far: SUPPLY_*. */
export function afterSupply(context: CpuContext, served: number): void {
  const { engine, mmu } = context;
  context.onVmExit(EPT_VIOLATION);
  if (served === C.SUPPLY_EXITED) {
    context.addCycles(CPU_COSTS.vmExit);
    engine.contextChanged();
    engine.supervisor!.pageSupplied!();
    return;
  }
  context.addCycles(CPU_COSTS.vmExit + CPU_COSTS.vmEntry);
  if (served === C.SUPPLY_RETURNED) mmu.bankReturned(1);
  else {
    mmu.bankLeft();
    engine.contextChanged();
  }
}

/** Takes note of those that were served by a lease. */
export function settleLease(context: CpuContext): void {
  const { engine, mem, mmu } = context;
  const times = mem.get32(L.LEASE_SERVED);
  mem.set32(L.LEASE_SERVED, 0);
  if (times > 0) {
    context.onVmExit(EPT_VIOLATION, times);
    context.addCycles(times * (CPU_COSTS.vmExit + CPU_COSTS.vmEntry));
    mmu.bankReturned(times);
  }
  engine.supervisor!.settleLease!();
}

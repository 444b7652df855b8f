/** What the controls of the VMCS in force ask of the parts of the processor that do not read it (cpu/layout.ts, VMX_MODE and its neighbours). */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { readTsc } from '../cpu/system/tsc.ts';
import { TIMER_SHIFT } from './capabilities.ts';
import { Exit, Pin, Primary, Secondary } from './controls.ts';
import { Field } from './fields.ts';
import { secondaryControls } from './queries.ts';
import type { CurrentVmcs } from './vmcs.ts';

/** Secondary controls that the core obeys, and their bits of VMX_MODE. */
const MODES = [
  [Secondary.ModeBasedExecute, L.VMX_MODE_BASED_EXECUTE],
  [Secondary.PageModificationLog, L.VMX_PML],
  [Secondary.SubPageWritePermissions, L.VMX_SUB_PAGES],
  [Secondary.ApicAccesses, L.VMX_APIC_ACCESSES],
] as const;
const CORE_CONTROLS = MODES.reduce((mask, [control]) => mask | control, 0);
const WINDOWS = Primary.InterruptWindowExiting | Primary.NmiWindowExiting;

/** Of a VM entry: the controls come into force. */
export function putInForce(context: CpuContext, vmcs: CurrentVmcs): void {
  const { mem } = context;
  const pin = vmcs.read32(Field.pinBasedControls);
  const primary = vmcs.read32(Field.primaryControls);
  const secondary = secondaryControls(vmcs);
  if (secondary & Secondary.Ept) vmcs.load64(Field.eptPointer, L.EPTP);
  else mem.setLow64(L.EPTP, 0);
  mem.set32(L.VPID, secondary & Secondary.Vpid ? vmcs.read32(Field.vpid) : 0);
  loadTime(context, vmcs, primary, secondary);
  const mode = (pin & Pin.NmiExiting ? L.VMX_NMI_EXITING : 0) | (pin & Pin.VirtualNmis ? L.VMX_VIRTUAL_NMIS : 0);
  mem.set32(L.VMX_MODE, secondary & CORE_CONTROLS ? mode | loadCoreState(context, vmcs, secondary) : mode);
  const asks =
    (primary & WINDOWS ? L.ASKS_VMX : 0) |
    (primary & Primary.MonitorTrapFlag ? L.MONITOR_TRAP : 0) |
    (pin & Pin.PreemptionTimer ? L.TIMER_RUNS : 0);
  if (asks) mem.set32(L.PENDING_EVENTS, mem.get32(L.PENDING_EVENTS) | asks);
  if (asks & L.TIMER_RUNS) startTimer(context, vmcs);
}

function loadTime({ mem }: CpuContext, vmcs: CurrentVmcs, primary: number, secondary: number): void {
  const offsets = (primary & Primary.TscOffsetting) !== 0;
  if (offsets) vmcs.load64(Field.tscOffset, L.TSC_OFFSET);
  else mem.setLow64(L.TSC_OFFSET, 0);
  if (offsets && secondary & Secondary.TscScaling) vmcs.load64(Field.tscMultiplier, L.TSC_MULTIPLIER);
  else mem.setLow64(L.TSC_MULTIPLIER, 0);
}

/** Bits of VMX_MODE. */
function loadCoreState({ mem }: CpuContext, vmcs: CurrentVmcs, secondary: number): number {
  if (secondary & Secondary.PageModificationLog) {
    vmcs.load64(Field.pmlAddress, L.PML_ADDRESS);
    mem.set32(L.PML_INDEX, vmcs.read32(Field.pmlIndex));
  }
  if (secondary & Secondary.SubPageWritePermissions) vmcs.load64(Field.sppTablePointer, L.SPP_TABLE);
  if (secondary & Secondary.ApicAccesses) vmcs.load64(Field.apicAccessAddress, L.APIC_ACCESS);
  return MODES.reduce((mode, [control, bit]) => (secondary & control ? mode | bit : mode), 0);
}

/** It counts down by one whenever bit TIMER_SHIFT of the time-stamp counter changes (SDM 3C 26.5.1). */
function startTimer(context: CpuContext, vmcs: CurrentVmcs): void {
  const { mem } = context;
  const tsc = readTsc(context);
  const expires = ((tsc >> TIMER_SHIFT) + BigInt(vmcs.read32(Field.preemptionTimerValue))) << TIMER_SHIFT;
  const deadline = mem.get64(L.CYCLES) + (expires - tsc);
  mem.set64(L.TIMER_DEADLINE, deadline > 0n ? deadline : 0n);
}

/** Of a VM exit: what the guest leaves in the VMCS. */
export function saveInForce(context: CpuContext, vmcs: CurrentVmcs): void {
  const { mem } = context;
  if (mem.get32(L.VMX_MODE) & L.VMX_PML) vmcs.write32(Field.pmlIndex, mem.get32(L.PML_INDEX));
  if (!(mem.get32(L.PENDING_EVENTS) & L.TIMER_RUNS)) return;
  if (vmcs.read32(Field.exitControls) & Exit.SavePreemptionTimer)
    vmcs.write32(Field.preemptionTimerValue, timerValue(context));
}

/** What the timer would read: the ticks left. */
function timerValue({ mem }: CpuContext): number {
  const left = mem.get64(L.TIMER_DEADLINE) - mem.get64(L.CYCLES);
  return left <= 0n ? 0 : Number((left + (1n << TIMER_SHIFT) - 1n) >> TIMER_SHIFT);
}

/** Root operation: nothing of a VMCS is in force. */
export function leaveForce({ mem }: CpuContext): void {
  mem.set32(L.NON_ROOT, 0);
  mem.setLow64(L.EPTP, 0);
  mem.set32(L.VPID, 0);
  mem.setLow64(L.TSC_OFFSET, 0);
  mem.setLow64(L.TSC_MULTIPLIER, 0);
  mem.set32(L.VMX_MODE, 0);
  const events = mem.get32(L.PENDING_EVENTS);
  if (events & L.OF_GUEST) mem.set32(L.PENDING_EVENTS, events & ~L.OF_GUEST);
}

/** MSR-store and MSR-load areas (SDM 3C 25.7.2, 25.8.2, 27.4, 28.4, 28.6): 16 bytes an entry, index u32, reserved u32, data u64. */
import type { CpuContext } from '../cpu/context.ts';
import { readMsr, writeMsr } from '../cpu/system/msrs.ts';
import { MSR_AREA_ENTRIES } from './capabilities.ts';
import { isX2apicMsr, MSR_ENTRY_BYTES, namesLoadableMsr } from './checks/msr-load.ts';
import { Field } from './fields.ts';
import type { CurrentVmcs } from './vmcs.ts';

export interface AreaResult {
  readonly ok: boolean;
  /** 1-based number of the entry that could not be processed; 0 if all were. */
  readonly entry: number;
}

/** Loads the MSRs of an area in order, up to the first that cannot be. */
export function loadMsrs(context: CpuContext, vmcs: CurrentVmcs, address: number, count: number): AreaResult {
  const entries = vmcs.read32(count);
  if (entries === 0) return DONE;
  const { physical } = context;
  const area = Number(vmcs.read(address));
  for (let entry = 1; entry <= entries; entry++) {
    const at = area + (entry - 1) * MSR_ENTRY_BYTES;
    if (entry > MSR_AREA_ENTRIES || !physical.has(at, MSR_ENTRY_BYTES)) return { ok: false, entry };
    const msr = physical.read32(at);
    if (!namesLoadableMsr(context, at) || writeMsr(context, msr, physical.read64(at + 8)) !== undefined)
      return { ok: false, entry };
  }
  return DONE;
}

const DONE: AreaResult = { ok: true, entry: 0 };

/** Stores the MSRs that the VM-exit MSR-store area names. False if one cannot be read. */
export function storeMsrs(context: CpuContext, vmcs: CurrentVmcs): boolean {
  const entries = vmcs.read32(Field.exitMsrStoreCount);
  if (entries === 0) return true;
  if (entries > MSR_AREA_ENTRIES) return false;
  const { physical } = context;
  const area = Number(vmcs.read(Field.exitMsrStoreAddress));
  for (let at = area; at < area + entries * MSR_ENTRY_BYTES; at += MSR_ENTRY_BYTES) {
    if (!physical.has(at, MSR_ENTRY_BYTES)) return false;
    const msr = physical.read32(at);
    const value = isX2apicMsr(msr) || physical.read32(at + 4) !== 0 ? undefined : readMsr(context, msr);
    if (value === undefined) return false;
    physical.write64(at + 8, value);
  }
  return true;
}

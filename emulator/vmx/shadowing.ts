/** VMCS shadowing (SDM 3C 25.6.15, 26.1.3): bitmaps that say which VMREADs and VMWRITEs of a guest go to the shadow VMCS. */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { Secondary } from './controls.ts';
import { Field } from './fields.ts';
import { secondaryControls } from './queries.ts';
import type { CurrentVmcs } from './vmcs.ts';

/** Encodings that the bitmaps have a bit for. */
const BITS = 0x8000n;

/** @param encoding the whole operand */
export function isShadowed(context: CpuContext, vmcs: CurrentVmcs, encoding: bigint, write: boolean): boolean {
  if (!(secondaryControls(vmcs) & Secondary.VmcsShadowing) || encoding >= BITS) return false;
  const bit = Number(encoding);
  const at = vmcs.address(write ? Field.vmwriteBitmap : Field.vmreadBitmap) + (bit >> 3);
  return context.physical.has(at) && ((context.mem.bytes[L.RAM_BASE + at]! >> (bit & 7)) & 1) === 0;
}

/** Questions about the controls of the current VMCS. */
import { Primary } from './controls.ts';
import { Field } from './fields.ts';
import type { CurrentVmcs } from './vmcs.ts';

/** 0 while they are not activated. */
export function secondaryControls(vmcs: CurrentVmcs): number {
  return vmcs.read32(Field.primaryControls) & Primary.SecondaryControls ? vmcs.read32(Field.secondaryControls) : 0;
}

/** Low 32 bits; 0 while they are not activated. */
export function tertiaryControls(vmcs: CurrentVmcs): number {
  return vmcs.read32(Field.primaryControls) & Primary.TertiaryControls ? vmcs.read32(Field.tertiaryControls) : 0;
}

export const EOI_BITMAPS = [
  Field.eoiExitBitmap0,
  Field.eoiExitBitmap1,
  Field.eoiExitBitmap2,
  Field.eoiExitBitmap3,
] as const;

/** Whether the end of a virtual interrupt of this vector exits, with virtual-interrupt delivery. */
export function endOfInterruptExits(vmcs: CurrentVmcs, vector: number): boolean {
  return ((vmcs.read(EOI_BITMAPS[vector >> 6]!) >> BigInt(vector & 63)) & 1n) === 1n;
}

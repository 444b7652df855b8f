/** Questions about the controls of the current VMCS. */
import { Primary } from './controls.ts';
import { Field } from './fields.ts';
import type { CurrentVmcs } from './vmcs.ts';

/** 0 while they are not activated. */
export function secondaryControls(vmcs: CurrentVmcs): number {
  return vmcs.read32(Field.primaryControls) & Primary.SecondaryControls ? vmcs.read32(Field.secondaryControls) : 0;
}

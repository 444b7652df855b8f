/** Random VM-execution, VM-exit and VM-entry controls that the entry checks let pass, but for what they need of other fields. */
import {
  Entry,
  Exit,
  Pin,
  Primary,
  Secondary,
  Tertiary,
  allowedOnes,
  controlField,
} from '../../../emulator/vmx/controls.ts';
import { Field, type FieldName } from '../../../emulator/vmx/fields.ts';
import type { Random } from '../../isa/support/random.ts';

export interface ControlChange {
  readonly keep: bigint;
  readonly bits: number;
}

const ALL_ONES = 0xffff_ffff_ffff_ffffn;
/** Bits that a processor leaves to software. */
function optional(name: FieldName): number {
  const field = controlField(Field[name])!;
  return (allowedOnes(field) & ~field.trueDefault1) >>> 0;
}
/** Each bit with a chance of one in four. */
const some = (random: Random, mask: number): number => (random.next() & random.next() & mask) >>> 0;

export function randomControls(random: Random): readonly (readonly [FieldName, ControlChange])[] {
  let pin = some(random, optional('pinBasedControls'));
  let primary = some(random, optional('primaryControls')) | Primary.SecondaryControls;
  let secondary = some(random, optional('secondaryControls'));
  const tertiary = some(random, optional('tertiaryControls'));
  let exit = some(random, optional('exitControls')) | Exit.Host64;
  const entry = some(random, optional('entryControls')) | Entry.Ia32eGuest;
  // Guests that end, mostly.
  if (!random.oneIn(8)) pin |= Pin.ExternalInterruptExiting | Pin.PreemptionTimer;
  if (!random.oneIn(4)) primary |= Primary.HltExiting;
  if (!random.oneIn(4)) primary &= ~(Primary.MonitorTrapFlag | Primary.NmiWindowExiting);
  if (!random.oneIn(8)) secondary |= Secondary.Ept | Secondary.Vpid;

  if (!(secondary & Secondary.Ept)) secondary &= ~NEED_EPT;
  if (secondary & Secondary.X2apicMode) secondary &= ~Secondary.ApicAccesses;
  if (pin & Pin.ProcessPostedInterrupts) {
    secondary |= Secondary.VirtualInterruptDelivery;
    exit |= Exit.AcknowledgeInterrupt;
  }
  const ipis = (primary & Primary.TertiaryControls) !== 0 && (tertiary & Tertiary.IpiVirtualization) !== 0;
  if (secondary & NEED_SHADOW || ipis) primary |= Primary.TprShadow;
  if (secondary & Secondary.VirtualInterruptDelivery) pin |= Pin.ExternalInterruptExiting;
  if (primary & Primary.NmiWindowExiting) pin |= Pin.VirtualNmis;
  if (pin & Pin.VirtualNmis) pin |= Pin.NmiExiting;
  if (exit & Exit.SavePreemptionTimer) pin |= Pin.PreemptionTimer;
  const change = (name: FieldName, bits: number): readonly [FieldName, ControlChange] => [
    name,
    { keep: ALL_ONES & ~BigInt(optional(name)), bits: bits >>> 0 },
  ];
  return [
    change('pinBasedControls', pin),
    change('primaryControls', primary),
    change('secondaryControls', secondary),
    change('tertiaryControls', tertiary),
    change('exitControls', exit),
    change('entryControls', entry),
  ];
}
const NEED_EPT =
  Secondary.PageModificationLog |
  Secondary.UnrestrictedGuest |
  Secondary.ModeBasedExecute |
  Secondary.SubPageWritePermissions |
  Secondary.VmFunctions;
const NEED_SHADOW = Secondary.X2apicMode | Secondary.ApicRegisterVirtualization | Secondary.VirtualInterruptDelivery;

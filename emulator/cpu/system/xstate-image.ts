/** State components between the state page and images of them: what XSAVE writes and XRSTOR reads (SDM 1, 13.4 to 13.6). */
import { MXCSR_MASK } from '../../core/softfloat-codes.ts';
import type { CpuContext } from '../context.ts';
import * as L from '../layout.ts';
import { AVX_STATE, compactedOffsets, EXTENDED_COMPONENTS, PKRU_STATE, SSE_STATE, X87_STATE } from '../xstate.ts';
import type { StateComponent } from '../xstate.ts';
import { setPkru } from './protection-keys.ts';

/** Parts of the legacy region, as [from, to): MXCSR goes with SSE and AVX, but has rules of its own. */
const X87_PARTS = [
  [0, 24],
  [32, 160],
] as const;
const MXCSR_PART = [24, 32] as const;
const XMM_AT = 160;
const XMM_BYTES = 16;
/** Where the upper half of a YMM register lies in its slot. */
const UPPER = 16;
const FX_BYTES = 416;

const INITIAL_CW = 0x37f;
export const INITIAL_MXCSR = 0x1f80;

/** FXSAVE's image of the present state; it is overwritten by the next. `wide`: with 64-bit pointers. */
function legacyImage({ core, mem }: CpuContext, wide: boolean): Uint8Array {
  core.fxStore(wide ? 1 : 0);
  return mem.bytes.subarray(L.FP_IMAGE, L.FP_IMAGE + FX_BYTES);
}

/** The same of the initial configuration, to be read only. */
const INITIAL_LEGACY_IMAGE = initialLegacyImage();
function initialLegacyImage(): Uint8Array {
  const image = new Uint8Array(FX_BYTES);
  const view = new DataView(image.buffer);
  view.setUint16(0, INITIAL_CW, true);
  view.setUint32(24, INITIAL_MXCSR, true);
  view.setUint32(28, MXCSR_MASK, true);
  return image;
}

/** Components that are not in their initial configuration: XINUSE, but for components whose state is not tracked (none). */
export function inUse(context: CpuContext): number {
  const image = legacyImage(context, true);
  const initial = INITIAL_LEGACY_IMAGE;
  const differs = (from: number, to: number): boolean => {
    for (let at = from; at < to; at++) if (image[at] !== initial[at]) return true;
    return false;
  };
  let mask = X87_PARTS.some(([from, to]) => differs(from, to)) ? X87_STATE : 0;
  if (differs(XMM_AT, FX_BYTES)) mask |= SSE_STATE;
  for (const component of EXTENDED_COMPONENTS)
    if (readExtended(context, component, 16).some((byte) => byte !== 0)) mask |= 1 << component.index;
  return mask;
}

/** A component of the extended region as it stands in memory. `registers`: how many vector registers the mode has. */
function readExtended({ mem }: CpuContext, { index, bytes }: StateComponent, registers: number): Uint8Array {
  if (1 << index === PKRU_STATE) return new Uint8Array(BigUint64Array.of(BigInt(mem.get32(L.PKRU))).buffer);
  const image = new Uint8Array(registers === 16 ? bytes : registers * XMM_BYTES);
  for (let register = 0; register < registers; register++) {
    const at = L.XMM + register * L.XMM_STRIDE + UPPER;
    image.set(mem.bytes.subarray(at, at + XMM_BYTES), register * XMM_BYTES);
  }
  return image;
}

/** Sets a component of the extended region; without an image, to its initial configuration. */
function writeExtended(
  context: CpuContext,
  { index, bytes }: StateComponent,
  image: Uint8Array | undefined,
  registers: number,
): void {
  const from = image ?? new Uint8Array(bytes);
  if (1 << index === PKRU_STATE) return setPkru(context, new DataView(from.buffer, from.byteOffset).getUint32(0, true));
  for (let register = 0; register < registers; register++) {
    const slot = from.subarray(register * XMM_BYTES, (register + 1) * XMM_BYTES);
    context.mem.bytes.set(slot, L.XMM + register * L.XMM_STRIDE + UPPER);
  }
}

/** Bytes of an XSAVE area. */
export interface AreaPart {
  readonly offset: number;
  readonly data: Uint8Array;
}

interface AreaFormat {
  /** The components that take room in the compacted format; undefined for the standard format. */
  readonly compacted: number | undefined;
  /** 64-bit x87 pointers (REX.W). */
  readonly wide: boolean;
  /** Vector registers that the mode has. */
  readonly registers: number;
}

/** What these components hold now. The header is not among it. */
export function presentParts(
  context: CpuContext,
  {
    components,
    mxcsr,
    compacted,
    wide,
    registers,
  }: AreaFormat & { readonly components: number; readonly mxcsr: boolean },
): AreaPart[] {
  const legacy = legacyImage(context, wide);
  const spans: (readonly [from: number, to: number])[] = [];
  if (components & X87_STATE) spans.push(...X87_PARTS);
  if (mxcsr) spans.push(MXCSR_PART);
  if (components & SSE_STATE) spans.push([XMM_AT, XMM_AT + registers * XMM_BYTES]);
  const parts: AreaPart[] = spans.map(([from, to]) => ({ offset: from, data: legacy.slice(from, to) }));
  const offsets = compacted === undefined ? undefined : compactedOffsets(compacted);
  for (const component of EXTENDED_COMPONENTS)
    if (components & (1 << component.index))
      parts.push({
        offset: offsets?.get(component) ?? component.offset,
        data: readExtended(context, component, registers),
      });
  return parts;
}

export interface Restoration extends AreaFormat {
  readonly requested: number;
  /** XSTATE_BV: the others of `requested` are set to their initial configuration. */
  readonly present: number;
  readonly read: (offset: number, bytes: number) => Uint8Array;
}

/** Reads all that is needed, then changes the state. Says what is wrong, and changes nothing, if MXCSR cannot be as it says. */
export function restoreComponents(context: CpuContext, restoration: Restoration): string | undefined {
  const { requested, present, compacted, wide, registers, read } = restoration;
  const loaded = requested & present;
  const legacy = restoredLegacy(context, restoration);
  const mxcsr = new DataView(legacy.buffer).getUint32(MXCSR_PART[0], true);
  if (mxcsr & ~MXCSR_MASK) return `MXCSR 0x${mxcsr.toString(16)} has reserved bits`;
  const offsets = compacted === undefined ? undefined : compactedOffsets(compacted);
  const extended = EXTENDED_COMPONENTS.filter(({ index }) => requested & (1 << index)).map((component) => {
    const bytes = 1 << component.index === AVX_STATE ? registers * XMM_BYTES : component.bytes;
    const at = offsets?.get(component) ?? component.offset;
    return { component, data: loaded & (1 << component.index) ? read(at, bytes) : undefined };
  });
  context.mem.bytes.set(legacy, L.FP_IMAGE);
  context.core.fxLoad(wide || !(loaded & X87_STATE) ? 1 : 0);
  for (const { component, data } of extended) writeExtended(context, component, data, registers);
  return undefined;
}

/** The legacy region as it shall be: from the area, initial, or as it is. */
function restoredLegacy(
  context: CpuContext,
  { requested, present, compacted, registers, read }: Restoration,
): Uint8Array {
  const initial = INITIAL_LEGACY_IMAGE;
  const legacy = legacyImage(context, true).slice();
  const copy = (component: number, [from, to]: readonly [number, number]): void =>
    legacy.set(requested & present & component ? read(from, to - from) : initial.subarray(from, to), from);
  if (requested & X87_STATE) X87_PARTS.forEach((part) => copy(X87_STATE, part));
  if (requested & SSE_STATE) copy(SSE_STATE, [XMM_AT, XMM_AT + registers * XMM_BYTES]);
  // In the standard format MXCSR comes from memory whatever XSTATE_BV says; in the compacted format it is part of SSE state.
  if (compacted !== undefined) {
    if (requested & SSE_STATE) copy(SSE_STATE, MXCSR_PART);
  } else if (requested & (SSE_STATE | AVX_STATE)) legacy.set(read(MXCSR_PART[0], 4), MXCSR_PART[0]);
  return legacy;
}

/** State components between the state page and images of them: what XSAVE writes and XRSTOR reads (SDM 1, 13.4 to 13.6). */
import { MXCSR_MASK } from '../../core/softfloat-codes.ts';
import type { CpuContext } from '../context.ts';
import * as L from '../layout.ts';
import { EXTENDED_COMPONENTS, PKRU_STATE, SSE_STATE, X87_STATE } from '../xstate.ts';
import type { StateComponent } from '../xstate.ts';
import { setPkru } from './protection-keys.ts';

/** Parts of the legacy region, as [from, to): MXCSR goes with SSE and AVX, but has rules of its own. */
export const X87_PARTS = [
  [0, 24],
  [32, 160],
] as const;
export const MXCSR_PART = [24, 32] as const;
export const XMM_AT = 160;
const XMM_BYTES = 16;
/** Where the upper half of a YMM register lies in its slot. */
const UPPER = 16;
const FX_BYTES = 416;

export const INITIAL_CW = 0x37f;
export const INITIAL_MXCSR = 0x1f80;

/** FXSAVE's image of the present state; it is overwritten by the next. `wide`: with 64-bit pointers. */
export function legacyImage({ core, mem }: CpuContext, wide: boolean): Uint8Array {
  core.fxStore(wide ? 1 : 0);
  return mem.bytes.subarray(L.FP_IMAGE, L.FP_IMAGE + FX_BYTES);
}

/** The same of the initial configuration. */
export function initialLegacyImage(): Uint8Array {
  const image = new Uint8Array(FX_BYTES);
  const view = new DataView(image.buffer);
  view.setUint16(0, INITIAL_CW, true);
  view.setUint32(24, INITIAL_MXCSR, true);
  view.setUint32(28, MXCSR_MASK, true);
  return image;
}

/** Loads a whole image. MXCSR's reserved bits must be 0 in it. */
export function loadLegacyImage({ core, mem }: CpuContext, image: Uint8Array, wide: boolean): void {
  mem.bytes.set(image.subarray(0, FX_BYTES), L.FP_IMAGE);
  if (core.fxLoad(wide ? 1 : 0)) throw new Error('an image with reserved bits of MXCSR was to be loaded');
}

export const mxcsrOf = (image: Uint8Array): number =>
  new DataView(image.buffer, image.byteOffset).getUint32(MXCSR_PART[0], true);

export const hasReservedMxcsr = (image: Uint8Array): boolean => (mxcsrOf(image) & ~MXCSR_MASK) !== 0;

/** Components that are not in their initial configuration: XINUSE, but for components whose state is not tracked (none). */
export function inUse(context: CpuContext): number {
  const image = legacyImage(context, true);
  const initial = initialLegacyImage();
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
export function readExtended({ mem }: CpuContext, { index, bytes }: StateComponent, registers: number): Uint8Array {
  if (1 << index === PKRU_STATE) return new Uint8Array(BigUint64Array.of(BigInt(mem.get32(L.PKRU))).buffer);
  const image = new Uint8Array(registers === 16 ? bytes : registers * XMM_BYTES);
  for (let register = 0; register < registers; register++) {
    const at = L.XMM + register * L.XMM_STRIDE + UPPER;
    image.set(mem.bytes.subarray(at, at + XMM_BYTES), register * XMM_BYTES);
  }
  return image;
}

/** Sets a component of the extended region; without an image, to its initial configuration. */
export function writeExtended(
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

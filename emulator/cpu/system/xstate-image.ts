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

/** The area that is being written or read, bytes at their offsets in it: one at a time, none longer than a page. */
export const area = new Uint8Array(4096);
const words = new Uint32Array(area.buffer);

/** Makes FXSAVE's image of the present state, at FP_IMAGE. `wide`: with 64-bit pointers. */
function makeLegacyImage({ core }: CpuContext, wide: boolean): void {
  core.fxStore(wide ? 1 : 0);
}

/** The same of the initial configuration. */
const INITIAL_LEGACY_IMAGE = initialLegacyImage();
function initialLegacyImage(): Uint32Array {
  const image = new DataView(new ArrayBuffer(FX_BYTES));
  image.setUint16(0, INITIAL_CW, true);
  image.setUint32(24, INITIAL_MXCSR, true);
  image.setUint32(28, MXCSR_MASK, true);
  return new Uint32Array(image.buffer);
}

function copyWords(to: Uint32Array, toByte: number, from: Uint32Array, fromByte: number, bytes: number): void {
  const [target, source, count] = [toByte >>> 2, fromByte >>> 2, bytes >>> 2];
  for (let word = 0; word < count; word++) to[target + word] = from[source + word]!;
}

/** Components that are not in their initial configuration: XINUSE, but for components whose state is not tracked (none). */
export function inUse(context: CpuContext): number {
  const { u32 } = context.mem;
  makeLegacyImage(context, true);
  const differs = (from: number, to: number): boolean => {
    for (let at = from >>> 2; at < to >>> 2; at++)
      if (u32[(L.FP_IMAGE >>> 2) + at] !== INITIAL_LEGACY_IMAGE[at]) return true;
    return false;
  };
  let mask = X87_PARTS.some(([from, to]) => differs(from, to)) ? X87_STATE : 0;
  if (differs(XMM_AT, FX_BYTES)) mask |= SSE_STATE;
  if (upperHalvesInUse(u32)) mask |= AVX_STATE;
  return context.mem.get32(L.PKRU) === 0 ? mask : mask | PKRU_STATE;
}

function upperHalvesInUse(u32: Uint32Array): boolean {
  for (let register = 0; register < 16; register++) {
    const at = upperHalf(register) >>> 2;
    if (u32[at]! | u32[at + 1]! | u32[at + 2]! | u32[at + 3]!) return true;
  }
  return false;
}

const upperHalf = (register: number): number => L.XMM + register * L.XMM_STRIDE + UPPER;

/** Bytes of a component of the extended region. `registers`: how many vector registers the mode has. */
function extendedBytes({ index, bytes }: StateComponent, registers: number): number {
  return 1 << index === AVX_STATE ? registers * XMM_BYTES : bytes;
}

/** Puts a component of the extended region in the area. */
function packExtended({ mem }: CpuContext, { index }: StateComponent, at: number, registers: number): void {
  if (1 << index === PKRU_STATE) {
    words[at >>> 2] = mem.get32(L.PKRU);
    words[(at >>> 2) + 1] = 0;
  } else
    for (let register = 0; register < registers; register++)
      copyWords(words, at + register * XMM_BYTES, mem.u32, upperHalf(register), XMM_BYTES);
}

/** Sets a component of the extended region from the area; with `at` undefined, to its initial configuration. */
function unpackExtended(
  context: CpuContext,
  { index }: StateComponent,
  at: number | undefined,
  registers: number,
): void {
  const { u32 } = context.mem;
  if (1 << index === PKRU_STATE) return setPkru(context, at === undefined ? 0 : words[at >>> 2]!);
  for (let register = 0; register < registers; register++) {
    const to = upperHalf(register);
    if (at === undefined) u32.fill(0, to >>> 2, (to + XMM_BYTES) >>> 2);
    else copyWords(u32, to, words, at + register * XMM_BYTES, XMM_BYTES);
  }
}

interface AreaFormat {
  /** The components that take room in the compacted format; undefined for the standard format. */
  readonly compacted: number | undefined;
  /** 64-bit x87 pointers (REX.W). */
  readonly wide: boolean;
  /** Vector registers that the mode has. */
  readonly registers: number;
}

const offsetsOf = (compacted: number | undefined): ReadonlyMap<StateComponent, number> | undefined =>
  compacted === undefined ? undefined : compactedOffsets(compacted);

/** Puts in the area the legacy region, whole, and what these components of the extended region hold now. The header is not among it. */
export function packComponents(
  context: CpuContext,
  { components, compacted, wide, registers }: AreaFormat & { readonly components: number },
): void {
  makeLegacyImage(context, wide);
  copyWords(words, 0, context.mem.u32, L.FP_IMAGE, FX_BYTES);
  const offsets = offsetsOf(compacted);
  for (const component of EXTENDED_COMPONENTS)
    if (components & (1 << component.index))
      packExtended(context, component, offsets?.get(component) ?? component.offset, registers);
}

/** Bytes of an XSAVE area. */
export interface AreaPart {
  readonly offset: number;
  readonly data: Uint8Array;
}

/** What these components hold now. The header is not among it. */
export function presentParts(
  context: CpuContext,
  format: AreaFormat & { readonly components: number; readonly mxcsr: boolean },
): AreaPart[] {
  const { components, mxcsr, compacted, registers } = format;
  packComponents(context, format);
  const spans: (readonly [from: number, to: number])[] = [];
  if (components & X87_STATE) spans.push(...X87_PARTS);
  if (mxcsr) spans.push(MXCSR_PART);
  if (components & SSE_STATE) spans.push([XMM_AT, XMM_AT + registers * XMM_BYTES]);
  const offsets = offsetsOf(compacted);
  for (const component of EXTENDED_COMPONENTS) {
    const at = offsets?.get(component) ?? component.offset;
    if (components & (1 << component.index)) spans.push([at, at + extendedBytes(component, registers)]);
  }
  return spans.map(([from, to]) => ({ offset: from, data: area.subarray(from, to) }));
}

export interface Restoration extends AreaFormat {
  readonly requested: number;
  /** XSTATE_BV: the others of `requested` are set to their initial configuration. */
  readonly present: number;
  /** Brings bytes at an offset of the area in memory to the same offset of `area`. */
  readonly read: (offset: number, bytes: number) => void;
}

/** Reads all that is needed, then changes the state. Says what is wrong, and changes nothing, if MXCSR cannot be as it says. */
export function restoreComponents(context: CpuContext, restoration: Restoration): string | undefined {
  const { requested, present, compacted, wide, registers, read } = restoration;
  const loaded = requested & present;
  readLegacy(restoration);
  const mxcsr = restoredMxcsr(context, restoration);
  if (mxcsr & ~MXCSR_MASK) return `MXCSR 0x${mxcsr.toString(16)} has reserved bits`;
  const offsets = offsetsOf(compacted);
  const offsetOf = (component: StateComponent): number => offsets?.get(component) ?? component.offset;
  for (const component of EXTENDED_COMPONENTS)
    if (loaded & (1 << component.index)) read(offsetOf(component), extendedBytes(component, registers));
  makeRestoredLegacy(context, restoration);
  context.mem.set32(L.FP_IMAGE + MXCSR_PART[0], mxcsr);
  context.core.fxLoad(wide || !(loaded & X87_STATE) ? 1 : 0);
  for (const component of EXTENDED_COMPONENTS) {
    const bit = 1 << component.index;
    if (requested & bit) unpackExtended(context, component, loaded & bit ? offsetOf(component) : undefined, registers);
  }
  return undefined;
}

/** In the standard format MXCSR comes from memory whatever XSTATE_BV says; in the compacted format it is part of SSE state. */
function mxcsrInMemory({ requested, present, compacted }: Restoration): boolean {
  return (requested & (compacted === undefined ? SSE_STATE | AVX_STATE : present & SSE_STATE)) !== 0;
}

function readLegacy(restoration: Restoration): void {
  const { requested, present, registers, read } = restoration;
  if (requested & present & X87_STATE) for (const [from, to] of X87_PARTS) read(from, to - from);
  if (requested & present & SSE_STATE) read(XMM_AT, registers * XMM_BYTES);
  if (mxcsrInMemory(restoration)) read(MXCSR_PART[0], 4);
}

function restoredMxcsr({ mem }: CpuContext, restoration: Restoration): number {
  if (mxcsrInMemory(restoration)) return words[MXCSR_PART[0] >>> 2]!;
  const initial = restoration.compacted !== undefined && restoration.requested & SSE_STATE;
  return initial ? INITIAL_MXCSR : mem.get32(L.MXCSR);
}

/** Makes the legacy region as it shall be at FP_IMAGE: from the area, initial, or as it is; but for MXCSR. */
function makeRestoredLegacy(context: CpuContext, { requested, present, registers }: Restoration): void {
  makeLegacyImage(context, true);
  const copy = (component: number, from: number, to: number): void => {
    const source = present & component ? words : INITIAL_LEGACY_IMAGE;
    copyWords(context.mem.u32, L.FP_IMAGE + from, source, from, to - from);
  };
  if (requested & X87_STATE) for (const [from, to] of X87_PARTS) copy(X87_STATE, from, to);
  if (requested & SSE_STATE) copy(SSE_STATE, XMM_AT, XMM_AT + registers * XMM_BYTES);
}

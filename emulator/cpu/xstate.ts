/**
 * State components of the XSAVE feature set and the format of the XSAVE area (SDM 1, 13.1 to 13.5). Sets of components are bit masks, as in XCR0.
 * There are no supervisor components, so IA32_XSS is 0.
 */
import type { CpuModel } from './system/models.ts';

export interface StateComponent {
  /** Bit in XCR0. */
  readonly index: number;
  readonly name: string;
  /** CPUID feature it comes with. */
  readonly feature: string;
  readonly bytes: number;
  /** Where it stands in the standard format. */
  readonly offset: number;
}

export const X87_STATE = 1;
export const SSE_STATE = 2;
export const AVX_STATE = 4;
export const PKRU_STATE = 0x200;

/** Bytes of the legacy region, which has x87 and SSE state and MXCSR as FXSAVE has them. */
export const LEGACY_BYTES = 512;
export const HEADER_BYTES = 64;
/** Where the extended region begins. */
export const EXTENDED = 576;
/** Every XSAVE area is a multiple of it. */
export const AREA_ALIGNMENT = 64;

/** Those in the extended region. */
export const EXTENDED_COMPONENTS: readonly StateComponent[] = [
  { index: 2, name: 'AVX', feature: 'avx', bytes: 256, offset: EXTENDED },
  // Where Intel processors have it, behind the components of MPX and AVX-512.
  { index: 9, name: 'PKRU', feature: 'pku', bytes: 8, offset: 2688 },
];

const has = (mask: number, { index }: StateComponent): boolean => ((mask >>> index) & 1) !== 0;

/** Bits of XCR0 that a processor has. */
export function xcr0Known({ features }: Pick<CpuModel, 'features'>): number {
  if (!features.has('xsave')) return X87_STATE;
  return EXTENDED_COMPONENTS.reduce(
    (mask, { index, feature }) => (features.has(feature) ? mask | (1 << index) : mask),
    X87_STATE | SSE_STATE,
  );
}

/** Why XCR0 cannot be this (SDM 1 13.3); undefined if it can. */
export function refuseXcr0(model: CpuModel, value: bigint): string | undefined {
  const reserved = value & ~BigInt(xcr0Known(model));
  if (reserved) return `XCR0 bits 0x${reserved.toString(16)} do not exist on this CPU`;
  const mask = Number(value);
  if (!(mask & X87_STATE)) return 'XCR0.x87 cannot be 0';
  return mask & AVX_STATE && !(mask & SSE_STATE) ? 'XCR0.AVX needs XCR0.SSE' : undefined;
}

/** Bytes of an area in the standard format. */
export function standardBytes(mask: number): number {
  return EXTENDED_COMPONENTS.reduce(
    (bytes, component) => (has(mask, component) ? Math.max(bytes, component.offset + component.bytes) : bytes),
    EXTENDED,
  );
}

/** Where the components of the extended region stand in the compacted format of these components; none is aligned. */
export function compactedOffsets(mask: number): ReadonlyMap<StateComponent, number> {
  const offsets = new Map<StateComponent, number>();
  let at = EXTENDED;
  for (const component of EXTENDED_COMPONENTS) {
    if (!has(mask, component)) continue;
    offsets.set(component, at);
    at += component.bytes;
  }
  return offsets;
}

/** Bytes of an area in the compacted format. */
export function compactedBytes(mask: number): number {
  return EXTENDED_COMPONENTS.reduce(
    (bytes, component) => bytes + (has(mask, component) ? component.bytes : 0),
    EXTENDED,
  );
}

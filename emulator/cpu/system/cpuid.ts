/** CPUID's leaves (SDM 2A "CPUID"), as they follow from a processor model (models.ts) and its state. */
import type { CpuContext } from '../context.ts';
import * as L from '../layout.ts';
import { compactedBytes, EXTENDED_COMPONENTS, standardBytes, xcr0Known } from '../xstate.ts';
import { FEATURES } from './features.ts';
import type { Register } from './features.ts';
import type { CpuModel } from './models.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR4_OSXSAVE, CR4_PKE } = BITS_64;

/** What a leaf depends on besides the model. */
export interface CpuidEnvironment {
  readonly physBits: number;
  /** x2APIC ID of this logical processor. */
  readonly apicId: number;
  readonly cpus: number;
  /** CR4 as it is: some bits of leaves 1 and 7 follow it. */
  readonly cr4: bigint;
  /** Components that XCR0 enables. */
  readonly xcr0: number;
  /** The local APIC: absent while APIC_BASE turns it off; its timer takes TSC deadlines on a board. */
  readonly apicOff?: boolean;
  readonly tscDeadline?: boolean;
}

/** Of the running logical processor. */
export function cpuidEnvironment({ mem, cpu, cpuIndex, cpus, board }: CpuContext): CpuidEnvironment {
  return {
    physBits: mem.get32(L.PHYS_BITS),
    apicId: cpuIndex,
    cpus,
    cr4: cpu.cr4,
    xcr0: mem.get32(L.XCR0),
    apicOff: (mem.get32(L.MSR_APIC_BASE) & APIC_ENABLED) === 0,
    tscDeadline: board !== undefined,
  };
}

export type CpuidResult = readonly [eax: number, ebx: number, ecx: number, edx: number];

const NOTHING: CpuidResult = [0, 0, 0, 0];
const OSXSAVE = 1 << 27;
const TSC_DEADLINE = 1 << 24;
const APIC = 1 << 9;
const APIC_ENABLED = 0x800;
const MAX_EXTENDED = 0x80000008;
const LINE = 64;
const OSPKE = 1 << 4;

interface Cache {
  readonly type: 1 | 2 | 3;
  readonly level: number;
  readonly bytes: number;
  readonly ways: number;
  /** Shared by every CPU of the package. */
  readonly shared: boolean;
}
const CACHES: readonly Cache[] = [
  { type: 1, level: 1, bytes: 32 << 10, ways: 8, shared: false },
  { type: 2, level: 1, bytes: 32 << 10, ways: 8, shared: false },
  { type: 3, level: 2, bytes: 256 << 10, ways: 8, shared: false },
  { type: 3, level: 3, bytes: 8 << 20, ways: 16, shared: true },
];

type Leaf = (model: CpuModel, environment: CpuidEnvironment, subleaf: number) => CpuidResult;

const LEAVES: Readonly<Record<number, Leaf>> = {
  0x0: (model) => [model.maxBasic, text(model.vendor, 0), text(model.vendor, 8), text(model.vendor, 4)],
  0x1: (model, environment) => [
    model.signature,
    ((LINE / 8) << 8) | (Math.min(environment.cpus, 255) << 16) | ((environment.apicId & 0xff) << 24),
    bits(model, 1, 'ecx') |
      (environment.cr4 & CR4_OSXSAVE ? OSXSAVE : 0) |
      (environment.tscDeadline ? TSC_DEADLINE : 0),
    (bits(model, 1, 'edx') | (environment.cpus > 1 ? 1 << 28 : 0)) & (environment.apicOff ? ~APIC : -1),
  ],
  // Descriptor FFh: caches are in leaf 4; F0h: 64-byte prefetch; FEh: TLBs are not described.
  0x2: () => [0x00feff01, 0xf0, 0, 0],
  0x4: (_model, environment, subleaf) => cacheLeaf(environment, subleaf),
  // MONITOR watches a cache line; MWAIT has no extensions.
  0x5: (model) => (model.features.has('monitor') ? [LINE, LINE, 0, 0] : NOTHING),
  0x7: (model, { cr4 }, subleaf) =>
    subleaf === 0 ? [0, bits(model, 7, 'ebx'), bits(model, 7, 'ecx') | (cr4 & CR4_PKE ? OSPKE : 0), 0] : NOTHING,
  0xb: (_model, environment, subleaf) => topologyLeaf(environment, subleaf),
  0xd: (model, environment, subleaf) =>
    model.features.has('xsave') ? xsaveLeaf(model, environment, subleaf) : NOTHING,
  0x80000000: () => [MAX_EXTENDED, 0, 0, 0],
  0x80000001: (model) => [0, 0, bits(model, 0x80000001, 'ecx'), bits(model, 0x80000001, 'edx')],
  0x80000002: (model) => brand(model, 0),
  0x80000003: (model) => brand(model, 16),
  0x80000004: (model) => brand(model, 32),
  // L2 as leaf 4 has it: kilobytes, 8-way (code 6), line size.
  0x80000006: () => [0, 0, ((CACHES[2]!.bytes >> 10) << 16) | (6 << 12) | LINE, 0],
  // Invariant TSC.
  0x80000007: () => [0, 0, 0, 1 << 8],
  0x80000008: (model, { physBits }) => [physBits | ((model.features.has('la57') ? 57 : 48) << 8), 0, 0, 0],
};

/** Unsigned 32-bit results. A leaf above the maximum answers as the highest basic leaf does (SDM 2A "CPUID", Intel). */
export function cpuid(model: CpuModel, environment: CpuidEnvironment, leaf: number, subleaf: number): CpuidResult {
  const known = leaf <= model.maxBasic || (leaf >= 0x80000000 && leaf <= MAX_EXTENDED);
  const result = LEAVES[known ? leaf : model.maxBasic]?.(model, environment, subleaf) ?? NOTHING;
  return [result[0] >>> 0, result[1] >>> 0, result[2] >>> 0, result[3] >>> 0];
}

function bits(model: CpuModel, leaf: number, register: Register): number {
  let value = 0;
  for (const f of FEATURES) {
    if (f.leaf === leaf && f.register === register && model.features.has(f.name)) value |= 1 << f.bit;
  }
  return value;
}

function text(value: string, at: number): number {
  let word = 0;
  for (let i = 0; i < 4; i++) word |= (value.charCodeAt(at + i) || 0) << (i * 8);
  return word;
}

function brand(model: CpuModel, at: number): CpuidResult {
  return [text(model.brand, at), text(model.brand, at + 4), text(model.brand, at + 8), text(model.brand, at + 12)];
}

function cacheLeaf(environment: CpuidEnvironment, subleaf: number): CpuidResult {
  const cache = CACHES[subleaf];
  if (!cache) return NOTHING;
  const ids = powerOfTwo(environment.cpus);
  const sharing = cache.shared ? ids : 1;
  const selfInitialising = 1 << 8;
  return [
    cache.type | (cache.level << 5) | selfInitialising | ((sharing - 1) << 14) | ((Math.min(ids, 64) - 1) << 26),
    ((cache.ways - 1) << 22) | (LINE - 1),
    cache.bytes / cache.ways / LINE - 1,
    0,
  ];
}

/** Extended topology: one thread a core, one package. */
function topologyLeaf(environment: CpuidEnvironment, subleaf: number): CpuidResult {
  if (subleaf === 0) return [0, 1, 1 << 8, environment.apicId];
  if (subleaf === 1)
    return [Math.log2(powerOfTwo(environment.cpus)), environment.cpus, (2 << 8) | 1, environment.apicId];
  return [0, 0, subleaf & 0xff, environment.apicId];
}

/** The XSAVE area and its components. IA32_XSS has no bits. */
function xsaveLeaf(model: CpuModel, { xcr0 }: CpuidEnvironment, subleaf: number): CpuidResult {
  const known = xcr0Known(model);
  if (subleaf === 0) return [known, standardBytes(xcr0), standardBytes(known), 0];
  if (subleaf === 1) {
    const features = bits(model, 0xd, 'eax');
    return [features, model.features.has('xsavec') ? compactedBytes(xcr0) : 0, 0, 0];
  }
  const component = EXTENDED_COMPONENTS.find(({ index }) => index === subleaf && known & (1 << index));
  return component ? [component.bytes, component.offset, 0, 0] : NOTHING;
}

function powerOfTwo(value: number): number {
  return 1 << Math.ceil(Math.log2(Math.max(value, 1)));
}

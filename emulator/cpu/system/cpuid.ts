/**
 * CPUID (SDM 2A "CPUID"). A processor model is a list of features; the leaves follow from it, and so do the bits that
 * CR4 accepts (control.ts) and the MSRs that exist. Nothing is listed that the emulator does not execute.
 */

import { NO_PAGE_1GB, NO_PSE36 } from '../layout.ts';

export type Register = 'eax' | 'ebx' | 'ecx' | 'edx';

export interface Feature {
  readonly name: string;
  readonly leaf: number;
  readonly register: Register;
  readonly bit: number;
}

const feature = (name: string, leaf: number, register: Register, bit: number): Feature => ({
  name,
  leaf,
  register,
  bit,
});

/** Every feature a model may name. Leaf 7 means subleaf 0. */
export const FEATURES: readonly Feature[] = [
  feature('sse3', 1, 'ecx', 0),
  feature('pclmulqdq', 1, 'ecx', 1),
  feature('monitor', 1, 'ecx', 3),
  feature('vmx', 1, 'ecx', 5),
  feature('ssse3', 1, 'ecx', 9),
  feature('fma', 1, 'ecx', 12),
  feature('cx16', 1, 'ecx', 13),
  feature('pcid', 1, 'ecx', 17),
  feature('sse4_1', 1, 'ecx', 19),
  feature('sse4_2', 1, 'ecx', 20),
  feature('x2apic', 1, 'ecx', 21),
  feature('movbe', 1, 'ecx', 22),
  feature('popcnt', 1, 'ecx', 23),
  feature('aes', 1, 'ecx', 25),
  feature('xsave', 1, 'ecx', 26),
  feature('avx', 1, 'ecx', 28),
  feature('f16c', 1, 'ecx', 29),
  feature('rdrand', 1, 'ecx', 30),
  feature('fpu', 1, 'edx', 0),
  feature('de', 1, 'edx', 2),
  feature('pse', 1, 'edx', 3),
  feature('tsc', 1, 'edx', 4),
  feature('msr', 1, 'edx', 5),
  feature('pae', 1, 'edx', 6),
  feature('cx8', 1, 'edx', 8),
  feature('apic', 1, 'edx', 9),
  feature('sep', 1, 'edx', 11),
  feature('pge', 1, 'edx', 13),
  feature('cmov', 1, 'edx', 15),
  feature('pat', 1, 'edx', 16),
  feature('pse36', 1, 'edx', 17),
  feature('clfsh', 1, 'edx', 19),
  feature('mmx', 1, 'edx', 23),
  feature('fxsr', 1, 'edx', 24),
  feature('sse', 1, 'edx', 25),
  feature('sse2', 1, 'edx', 26),
  feature('fsgsbase', 7, 'ebx', 0),
  feature('bmi1', 7, 'ebx', 3),
  feature('avx2', 7, 'ebx', 5),
  feature('smep', 7, 'ebx', 7),
  feature('bmi2', 7, 'ebx', 8),
  feature('erms', 7, 'ebx', 9),
  feature('invpcid', 7, 'ebx', 10),
  feature('rdseed', 7, 'ebx', 18),
  feature('adx', 7, 'ebx', 19),
  feature('smap', 7, 'ebx', 20),
  feature('clflushopt', 7, 'ebx', 23),
  feature('clwb', 7, 'ebx', 24),
  feature('sha', 7, 'ebx', 29),
  feature('umip', 7, 'ecx', 2),
  feature('pku', 7, 'ecx', 3),
  feature('la57', 7, 'ecx', 16),
  feature('rdpid', 7, 'ecx', 22),
  feature('lahf', 0x80000001, 'ecx', 0),
  feature('lzcnt', 0x80000001, 'ecx', 5),
  feature('prefetchw', 0x80000001, 'ecx', 8),
  feature('syscall', 0x80000001, 'edx', 11),
  feature('nx', 0x80000001, 'edx', 20),
  feature('page1gb', 0x80000001, 'edx', 26),
  feature('rdtscp', 0x80000001, 'edx', 27),
  feature('lm', 0x80000001, 'edx', 29),
];

export interface CpuModel {
  readonly name: string;
  /** Twelve characters. */
  readonly vendor: string;
  /** EAX of leaf 1. */
  readonly signature: number;
  /** Up to 47 characters. */
  readonly brand: string;
  readonly features: ReadonlySet<string>;
}

/** What every x86-64 processor has, and what Dune and libdune use: the features of the first Linux and Dune hosts. */
const BASELINE = new Set([
  ...[
    'fpu',
    'de',
    'pse',
    'tsc',
    'msr',
    'pae',
    'cx8',
    'apic',
    'sep',
    'pge',
    'cmov',
    'pat',
    'pse36',
    'clfsh',
    'mmx',
    'fxsr',
  ],
  ...['sse', 'sse2', 'monitor', 'vmx', 'cx16', 'pcid', 'x2apic', 'fsgsbase', 'smep', 'invpcid', 'smap', 'umip'],
  ...['lahf', 'syscall', 'nx', 'page1gb', 'rdtscp', 'lm'],
]);

const COMMON = {
  vendor: 'GenuineIntel',
  signature: 0x000306f2,
  brand: 'Dune Debug model CPU',
};

/** Not all of their instructions exist yet: no model has them. */
const UNFINISHED = new Set(['xsave', 'avx', 'f16c', 'avx2', 'fma']);

export const CPU_MODEL_NAMES = ['max', 'baseline'] as const;
export type CpuModelName = (typeof CPU_MODEL_NAMES)[number];

/**
 * The models: `max` has all that the emulator implements, `baseline` nothing that x86-64 does not require but what the systems that run here use. The
 * signature is a Haswell server's.
 */
export const CPU_MODELS: Readonly<Record<CpuModelName, CpuModel>> = {
  max: {
    ...COMMON,
    name: 'max',
    features: new Set(FEATURES.map((f) => f.name).filter((name) => !UNFINISHED.has(name))),
  },
  baseline: { ...COMMON, name: 'baseline', features: BASELINE },
};
export const DEFAULT_MODEL = CPU_MODELS.max;

/** What of paging a model lacks, as the page walker wants it (PAGING_ABSENT). */
export function pagingAbsent({ features }: CpuModel): number {
  return (features.has('page1gb') ? 0 : NO_PAGE_1GB) | (features.has('pse36') ? 0 : NO_PSE36);
}

/** Bits of XCR0 a model has: x87, SSE, AVX (SDM 1 13.3). */
export function xcr0Known({ features }: CpuModel): bigint {
  if (!features.has('xsave')) return 1n;
  return features.has('avx') ? 7n : 3n;
}

/** What a leaf depends on besides the model. */
export interface CpuidEnvironment {
  readonly physBits: number;
  /** x2APIC ID of this logical processor. */
  readonly apicId: number;
  readonly cpus: number;
  /** CR4 as it is: some bits of leaves 1 and 7 follow it. */
  readonly cr4: bigint;
}

export type CpuidResult = readonly [eax: number, ebx: number, ecx: number, edx: number];

const NOTHING: CpuidResult = [0, 0, 0, 0];
const MAX_BASIC = 0xd;
const MAX_EXTENDED = 0x80000008;
const LINE = 64;
const CR4_PKE = 0x40_0000n;
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
  0x0: (model) => [MAX_BASIC, text(model.vendor, 0), text(model.vendor, 8), text(model.vendor, 4)],
  0x1: (model, environment) => [
    model.signature,
    ((LINE / 8) << 8) | (Math.min(environment.cpus, 255) << 16) | ((environment.apicId & 0xff) << 24),
    bits(model, 1, 'ecx'),
    bits(model, 1, 'edx') | (environment.cpus > 1 ? 1 << 28 : 0),
  ],
  // Descriptor FFh: caches are in leaf 4; F0h: 64-byte prefetch; FEh: TLBs are not described.
  0x2: () => [0x00feff01, 0xf0, 0, 0],
  0x4: (_model, environment, subleaf) => cacheLeaf(environment, subleaf),
  // MONITOR watches a cache line; MWAIT has no extensions.
  0x5: (model) => (model.features.has('monitor') ? [LINE, LINE, 0, 0] : NOTHING),
  0x7: (model, { cr4 }, subleaf) =>
    subleaf === 0 ? [0, bits(model, 7, 'ebx'), bits(model, 7, 'ecx') | (cr4 & CR4_PKE ? OSPKE : 0), 0] : NOTHING,
  0xb: (_model, environment, subleaf) => topologyLeaf(environment, subleaf),
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
  const known = leaf <= MAX_BASIC || (leaf >= 0x80000000 && leaf <= MAX_EXTENDED);
  const result = LEAVES[known ? leaf : MAX_BASIC]?.(model, environment, subleaf) ?? NOTHING;
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

function powerOfTwo(value: number): number {
  return 1 << Math.ceil(Math.log2(Math.max(value, 1)));
}

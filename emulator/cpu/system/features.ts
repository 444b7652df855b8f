/**
 * CPUID features: where CPUID shows each, and what it needs. The decoder's rows, CR4's bits and XCR0's name them. Nothing is listed that no model has.
 */
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

/** Every feature a model may name. Leaf 7 means subleaf 0, leaf Dh subleaf 1. */
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
  feature('mce', 1, 'edx', 7),
  feature('cx8', 1, 'edx', 8),
  feature('apic', 1, 'edx', 9),
  feature('sep', 1, 'edx', 11),
  feature('pge', 1, 'edx', 13),
  feature('mca', 1, 'edx', 14),
  feature('cmov', 1, 'edx', 15),
  feature('pat', 1, 'edx', 16),
  feature('pse36', 1, 'edx', 17),
  feature('clfsh', 1, 'edx', 19),
  feature('mmx', 1, 'edx', 23),
  feature('fxsr', 1, 'edx', 24),
  feature('sse', 1, 'edx', 25),
  feature('sse2', 1, 'edx', 26),
  feature('fsgsbase', 7, 'ebx', 0),
  feature('tsc_adjust', 7, 'ebx', 1),
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
  feature('xsaveopt', 0xd, 'eax', 0),
  feature('xsavec', 0xd, 'eax', 1),
  feature('xgetbv1', 0xd, 'eax', 2),
  feature('xsaves', 0xd, 'eax', 3),
  feature('lahf', 0x80000001, 'ecx', 0),
  feature('lzcnt', 0x80000001, 'ecx', 5),
  feature('prefetchw', 0x80000001, 'ecx', 8),
  feature('syscall', 0x80000001, 'edx', 11),
  feature('nx', 0x80000001, 'edx', 20),
  feature('page1gb', 0x80000001, 'edx', 26),
  feature('rdtscp', 0x80000001, 'edx', 27),
  feature('lm', 0x80000001, 'edx', 29),
];

/** What a feature is nothing without. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  sse3: ['sse2'],
  ssse3: ['sse3'],
  sse4_1: ['ssse3'],
  sse4_2: ['sse4_1'],
  aes: ['sse2'],
  pclmulqdq: ['sse2'],
  sha: ['sse2'],
  xsaveopt: ['xsave'],
  xsavec: ['xsave'],
  xgetbv1: ['xsave'],
  xsaves: ['xsavec'],
  avx: ['xsave', 'sse4_2'],
  avx2: ['avx'],
  fma: ['avx'],
  f16c: ['avx'],
  invpcid: ['pcid'],
};

/** The first need that a set of features does not meet. */
export function unmetNeed(
  features: ReadonlySet<string>,
): { readonly feature: string; readonly needs: string } | undefined {
  for (const feature of features) {
    const needs = NEEDS[feature]?.find((need) => !features.has(need));
    if (needs !== undefined) return { feature, needs };
  }
  return undefined;
}

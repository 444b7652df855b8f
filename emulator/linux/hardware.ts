/** What Linux tells programs of the CPU model. */
import { cpuid } from '../cpu/system/cpuid.ts';
import type { CpuModel } from '../cpu/system/models.ts';

/** CPUID.1:EDX, for AT_HWCAP. */
export function hardwareCapabilities(model: CpuModel): number {
  return cpuid(model, { physBits: 46, apicId: 0, cpus: 1, cr4: 0n, xcr0: 0 }, 1, 0)[3];
}

/** Features that Linux calls something else (arch/x86/include/asm/cpufeatures.h). */
const LINUX_NAMES: Readonly<Record<string, string>> = {
  clfsh: 'clflush',
  lahf: 'lahf_lm',
  lzcnt: 'abm',
  page1gb: 'pdpe1gb',
  prefetchw: '3dnowprefetch',
  sha: 'sha_ni',
  sse3: 'pni',
};

/** "flags" of /proc/cpuinfo. */
export function featureNames(model: CpuModel): string {
  return [...model.features].map((name) => LINUX_NAMES[name] ?? name).join(' ');
}

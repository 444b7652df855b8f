/** What Linux tells programs of the CPU model. */
import { cpuid } from '../cpu/system/cpuid.ts';
import type { CpuModel } from '../cpu/system/models.ts';
import { linuxCr4 } from '../cpu/system/reset.ts';
import { leastSignalStack } from './fpstate.ts';
import { BITS_64 } from '../cpu/control-bits-64.ts';

const { CR4_FSGSBASE } = BITS_64;

/** What the auxiliary vector says of the processor. */
export interface HardwareInformation {
  /** AT_HWCAP: CPUID.1:EDX. */
  readonly capabilities: number;
  /** AT_HWCAP2. */
  readonly capabilities2: number;
  /** AT_MINSIGSTKSZ. */
  readonly leastSignalStack: number;
}

/** HWCAP2_FSGSBASE: ring 3 may use the instructions. */
const RING3_FSGSBASE = 2;

export function hardwareInformation(model: CpuModel): HardwareInformation {
  return {
    capabilities: cpuid(model, { physBits: 46, apicId: 0, cpus: 1, cr4: 0n, xcr0: 0 }, 1, 0)[3],
    capabilities2: linuxCr4(model) & CR4_FSGSBASE ? RING3_FSGSBASE : 0,
    leastSignalStack: leastSignalStack(model),
  };
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

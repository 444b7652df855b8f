/** What Linux tells programs of the CPU model. */
import { DEFAULT_MODEL, cpuid } from '../cpu/system/cpuid.ts';

/** CPUID.1:EDX, for AT_HWCAP. */
export function hardwareCapabilities(): number {
  return cpuid(DEFAULT_MODEL, { physBits: 46, apicId: 0, cpus: 1 }, 1, 0)[3];
}
/** "flags" of /proc/cpuinfo. */
export function featureNames(): string {
  return [...DEFAULT_MODEL.features].join(' ');
}
export const MODEL_NAME = DEFAULT_MODEL.brand;

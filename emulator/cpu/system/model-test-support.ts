/** A processor with every feature that has a name, for tests of instructions that no model may have yet. */
import { CPU_MODELS, FEATURES } from './cpuid.ts';
import type { CpuModel } from './cpuid.ts';

export const EVERYTHING: CpuModel = {
  ...CPU_MODELS.max,
  name: 'everything',
  features: new Set(FEATURES.map((feature) => feature.name)),
};

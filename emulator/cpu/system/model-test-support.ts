/** A processor with every feature that has a name, for tests of instructions that no model may have yet. */
import { FEATURES } from './features.ts';
import { CPU_MODELS } from './models.ts';
import type { CpuModel } from './models.ts';

export const EVERYTHING: CpuModel = {
  ...CPU_MODELS.max,
  name: 'everything',
  features: new Set(FEATURES.map((feature) => feature.name)),
};

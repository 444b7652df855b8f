/**
 * Processor models. A model is a list of features with a name that CPUID shows; the leaves follow from it (cpuid.ts), and so do the instructions that
 * decode, the bits that CR4 and XCR0 accept and the MSRs that exist. No model has what the emulator does not execute.
 */
import { NO_PAGE_1GB, NO_PSE36 } from '../layout.ts';
import { VMX_FEATURES } from '../../vmx/capabilities.ts';
import { FEATURES, unmetNeed } from './features.ts';

export interface CpuModel {
  readonly name: string;
  /** Twelve characters. */
  readonly vendor: string;
  /** EAX of leaf 1: family, model, stepping. */
  readonly signature: number;
  /** Up to 47 characters. */
  readonly brand: string;
  /** The highest basic leaf. */
  readonly maxBasic: number;
  readonly features: ReadonlySet<string>;
  /** What of VT-x it does not have (VMX_FEATURES). */
  readonly vmxLacks?: ReadonlySet<string>;
}

/** What no x86-64 processor, and no Dune, can do without. */
const REQUIRED: readonly string[] = [
  ...[
    'fpu',
    'de',
    'pse',
    'tsc',
    'msr',
    'pae',
    'mce',
    'cx8',
    'apic',
    'sep',
    'pge',
    'mca',
    'cmov',
    'pat',
    'clfsh',
    'mmx',
    'fxsr',
  ],
  ...['pse36', 'sse', 'sse2', 'syscall', 'nx', 'lm', 'vmx'],
];

const BASELINE: readonly string[] = [
  ...REQUIRED,
  ...['monitor', 'cx16', 'pcid', 'x2apic', 'fsgsbase', 'smep', 'invpcid', 'smap', 'umip', 'lahf', 'page1gb', 'rdtscp'],
];

/** Xeon E5 v2, the server of Dune's days. */
const IVY_BRIDGE: readonly string[] = [
  ...REQUIRED,
  ...['monitor', 'cx16', 'pcid', 'x2apic', 'fsgsbase', 'smep', 'erms', 'lahf', 'page1gb', 'rdtscp'],
  ...['sse3', 'pclmulqdq', 'ssse3', 'sse4_1', 'sse4_2', 'popcnt', 'aes', 'rdrand', 'xsave', 'xsaveopt', 'avx', 'f16c'],
];

/** EPTs of 5 levels came with 5-level paging. */
const VMX_WITH_LA57: readonly string[] = ['vmx-page-walk-5'];
/** `max` alone has it. */
const VMX_OF_MAX: readonly string[] = [...VMX_WITH_LA57, 'vmx-activate-tertiary-controls', 'vmx-ipi-virtualization'];

/** What came to VT-x after the Xeons E5 v3, and what they brought. */
const VMX_SINCE_HASWELL: readonly string[] = [
  'vmx-enable-pml',
  'vmx-ept-violation-ve',
  'vmx-enable-xsaves-xrstors',
  'vmx-mode-based-execute-control-for-ept',
  'vmx-sub-page-write-permissions-for-ept',
  'vmx-use-tsc-scaling',
  ...VMX_OF_MAX,
];
const VMX_OF_HASWELL: readonly string[] = ['vmx-enable-vm-functions', 'vmx-vmcs-shadowing', 'vmx-vmwrite-any'];

/** Xeon E5 v3. */
const HASWELL: readonly string[] = [
  ...IVY_BRIDGE,
  ...['fma', 'movbe', 'tsc_adjust', 'bmi1', 'avx2', 'bmi2', 'invpcid', 'lzcnt'],
];

const INTEL = 'GenuineIntel';

export const CPU_MODELS = {
  /** All that the emulator implements. */
  max: {
    name: 'max',
    vendor: INTEL,
    signature: 0x000306f2,
    brand: 'Dune Debug model CPU',
    maxBasic: 0xd,
    features: new Set(FEATURES.map(({ name }) => name)),
  },
  /** Nothing that x86-64 does not require but what the systems that run here use. */
  baseline: {
    name: 'baseline',
    vendor: INTEL,
    signature: 0x000306f2,
    brand: 'Dune Debug model CPU',
    maxBasic: 0xb,
    features: new Set(BASELINE),
    vmxLacks: new Set(VMX_OF_MAX),
  },
  ivybridge: {
    name: 'ivybridge',
    vendor: INTEL,
    signature: 0x000306e4,
    brand: 'Intel(R) Xeon(R) CPU E5-2690 v2 @ 3.00GHz',
    maxBasic: 0xd,
    features: new Set(IVY_BRIDGE),
    vmxLacks: new Set([...VMX_SINCE_HASWELL, ...VMX_OF_HASWELL]),
  },
  haswell: {
    name: 'haswell',
    vendor: INTEL,
    signature: 0x000306f2,
    brand: 'Intel(R) Xeon(R) CPU E5-1660 v3 @ 3.00GHz',
    maxBasic: 0xf,
    features: new Set(HASWELL),
    vmxLacks: new Set(VMX_SINCE_HASWELL),
  },
} as const satisfies Readonly<Record<string, CpuModel>>;

export type CpuModelName = keyof typeof CPU_MODELS;
export const CPU_MODEL_NAMES = Object.keys(CPU_MODELS) as readonly CpuModelName[];
export const DEFAULT_MODEL: CpuModel = CPU_MODELS.max;

/** What of paging a model lacks, as the page walker wants it (PAGING_ABSENT). */
export function pagingAbsent({ features }: CpuModel): number {
  return (features.has('page1gb') ? 0 : NO_PAGE_1GB) | (features.has('pse36') ? 0 : NO_PSE36);
}

/** One sentence on what is wrong with the description of a processor. */
export class CpuModelError extends Error {}

const made = new Map<string, CpuModel>();

/**
 * The processor of a description: the name of a model, then `+feature` and `-feature` in any number ("haswell,-avx2,+sha"). Without a name, `max` is
 * changed. Throws CpuModelError.
 */
export function cpuModelOf(description: string): CpuModel {
  let model = made.get(description);
  if (!model) made.set(description, (model = describedModel(description)));
  return model;
}

function describedModel(description: string): CpuModel {
  const words = description.split(',').map((word) => word.trim().toLowerCase());
  const named = /^[+-]/.test(words[0]!) ? undefined : words.shift()!;
  const base: CpuModel | false =
    named === undefined
      ? DEFAULT_MODEL
      : CPU_MODEL_NAMES.includes(named as CpuModelName) && CPU_MODELS[named as CpuModelName];
  if (!base)
    throw new CpuModelError(
      `There is no processor model "${named}"; there are: ${CPU_MODEL_NAMES.join(', ')}, each with +feature or -feature after it.`,
    );
  if (words.length === 0) return base;
  const features = new Set(base.features);
  const vmxLacks = new Set(base.vmxLacks);
  for (const word of words) {
    if (!changeVmx(vmxLacks, word)) change(features, word);
  }
  const unmet = unmetNeed(features);
  if (unmet)
    throw new CpuModelError(
      `A processor "${description}" cannot be: ${unmet.feature} needs ${unmet.needs}. Add "+${unmet.needs}" or "-${unmet.feature}".`,
    );
  return { ...base, name: description, features, vmxLacks };
}

/** False if the word is no feature of VT-x. */
function changeVmx(lacks: Set<string>, word: string): boolean {
  const name = word.slice(1);
  if (!VMX_FEATURES.includes(name)) return false;
  if (word.startsWith('-')) lacks.add(name);
  else lacks.delete(name);
  return true;
}

function change(features: Set<string>, word: string): void {
  const name = word.slice(1).replaceAll('.', '_');
  if (!/^[+-]/.test(word))
    throw new CpuModelError(`"${word}" should be a processor feature with + or - before it, such as "-${word}".`);
  if (!FEATURES.some((feature) => feature.name === name))
    throw new CpuModelError(
      `There is no processor feature "${name}"; there are: ${FEATURES.map((feature) => feature.name).join(', ')}.`,
    );
  if (word.startsWith('+')) features.add(name);
  else if (REQUIRED.includes(name))
    throw new CpuModelError(
      `The processor feature ${name} cannot be taken out: every processor that runs Dune has it.`,
    );
  else features.delete(name);
}

/**
 * CPUID features, as rows name them in `feature`, that this processor has. A row of any other feature decodes as #UD.
 * CPUID (cpu/system/) must claim these and no other.
 */
export const CLAIMED_FEATURES: ReadonlySet<string> = new Set(['mmx', 'sse', 'sse2', 'fsgsbase', 'invpcid', 'smap', 'vmx']);

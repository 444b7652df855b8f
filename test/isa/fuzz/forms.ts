/** Which forms of the instruction table are tried, and why the others are not. */
import { readFileSync } from 'node:fs';
import { DEFAULT_MODEL } from '../../../emulator/cpu/system/models.ts';
import { decodeTableOf } from '../../../emulator/cpu/decode-table.ts';
import { FEATURES } from '../../../emulator/cpu/system/features.ts';
import type { CpuModel } from '../../../emulator/cpu/system/models.ts';
import { table } from '../../../emulator/cpu/table/index.ts';
import type { OpcodeRow } from '../../../emulator/cpu/table/row.ts';

/** All that the table has, whether a model shows it yet or not; addresses are as wide as the host's. */
export const MODEL: CpuModel = {
  ...DEFAULT_MODEL,
  features: new Set(FEATURES.map(({ name }) => name).filter((name) => name !== 'la57')),
};
export const DECODE_TABLE = decodeTableOf(MODEL);

export interface Form {
  readonly row: OpcodeRow;
  readonly size: number;
  /** "op/size encoding operands": what `--forms` is matched with. */
  readonly name: string;
}

/** Left out on purpose, by op. */
const LEFT_OUT: readonly (readonly [reason: string, ops: RegExp])[] = [
  ['its result differs from one time or machine to the next', /^(rdtscp?|rdpmc|rdrand|rdseed|rdpid|cpuid|xgetbv|xsetbv)$/],
  ['it enters the kernel of the host', /^(syscall|sysenter|sysexit|sysret|int|int1)$/],
  ['it needs descriptors, which the kernel of the host chose', /^(mov_to_segment|pop_segment|lar|lsl|verr|verw|l[dlefgs]s|call_far|jmp_far|retf|iret)$/],
  ['UMIP: the kernel of the host emulates it', /^(sgdt|sidt|sldt|str|smsw)$/],
  ['VMX: the host is an AMD processor', /^(vm[a-z]+|inv(ept|vpid))$/],
  ['#UD or #GP first, as processors differ', /^(monitor|mwait|rsm|swapgs|clac|stac|ud0)$/],
  ['an approximation whose bits differ between processors (test/isa/vector.spec.ts)', /^v?(rcp|rsqrt)[ps]s$/],
  ['transcendental: the last bit differs between processors', /^(f2xm1|fyl2x|fyl2xp1|fptan|fpatan|fsin|fcos|fsincos)$/],
  ['an image with last-instruction pointers (test/isa/fpu-images.spec.ts)', /^(fnstenv|fldenv|fnsave|frstor|fxsave|fxrstor|xsave.*|xrstor.*)$/],
  ['the AMD host executes 0F 0D with a register operand as #UD', /^nop_0d$/],
  ['the operand needs a vector of indices', /gather/],
]; // prettier-ignore

export function whyLeftOut(
  { op, encoding, invalid64, feature, operands = [] }: OpcodeRow,
  size: number,
): string | undefined {
  if (invalid64 || encoding === '') return 'not in 64-bit mode';
  if (feature !== undefined && !MODEL.features.has(feature)) return `the model has no ${feature}`;
  if (operands.includes('Cy') || operands.includes('Dy')) return 'privileged, and no register of the program';
  if (op === 'movsxd' && size === 2) return 'MOVSXD r16 reads 4 bytes of memory on AMD processors';
  const key = encoding === '0F 0D /r' ? 'nop_0d' : op;
  return LEFT_OUT.find(([, ops]) => ops.test(key))?.[0];
}

/** How reasons begin that name a feature. */
export const HOST_LACKS = 'the host has no';

/** CPUID features that Linux calls otherwise. */
const HOST_NAMES: Record<string, string> = {
  sse3: 'pni',
  lzcnt: 'abm',
  sha: 'sha_ni',
  pclmulqdq: 'pclmulqdq',
  cx16: 'cx16',
  lahf: 'lahf_lm',
};

/** Features of the model that the host has not. */
export function featuresHostLacks(): ReadonlySet<string> {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]!.trim().split(' '));
  const named = table.flatMap((row) => (row.feature === undefined ? [] : [row.feature]));
  return new Set(named.filter((feature) => !flags.has(HOST_NAMES[feature] ?? feature)));
}

/** Every row in every size. */
export function allForms(): Form[] {
  return table.flatMap((row) =>
    (row.sizes ?? [0]).map((size) => ({
      row,
      size,
      name: `${row.op}/${size} ${row.vex ? 'VEX ' : ''}${row.prefix ?? ''} ${row.encoding} ${(row.operands ?? []).join(' ')}`,
    })),
  );
}

export interface Forms {
  readonly tried: readonly Form[];
  /** Names by reason. */
  readonly leftOut: ReadonlyMap<string, readonly string[]>;
}

export function selectForms(pattern?: RegExp): Forms {
  const tried: Form[] = [];
  const leftOut = new Map<string, string[]>();
  const lacks = featuresHostLacks();
  for (const form of allForms()) {
    if (pattern && !pattern.test(form.name)) continue;
    const { feature } = form.row;
    const why =
      whyLeftOut(form.row, form.size) ?? (feature && lacks.has(feature) ? `${HOST_LACKS} ${feature}` : undefined);
    if (why === undefined) tried.push(form);
    else leftOut.set(why, [...(leftOut.get(why) ?? []), form.name.trim()]);
  }
  return { tried, leftOut };
}

/** Forms of the instruction table that lock-step scenarios use: all but those that end them at once. */
import { MODEL } from '../isa/fuzz/forms.ts';
import type { Form } from '../isa/fuzz/forms.ts';

const LEFT_OUT: readonly (readonly [reason: string, ops: RegExp])[] = [
  ['it leaves the generated code', /^(call_far|jmp_far|retf|iret|sysret|sysexit|sysenter|syscall|int|rsm)$/],
]; // prettier-ignore
const LEFT_OUT_OF_RING_0: readonly (readonly [reason: string, ops: RegExp])[] = [
  ['it changes tables or modes', /^(lgdt|lidt|lldt|ltr|lmsw|wrmsr|xsetbv|mov_to_control|mov_to_debug|vm[a-z]+|inv(ept|vpid)|hlt)$/],
  ['null segments and such would stop the kernel', /^(mov_to_segment|pop_segment|l[sfg]s)$/],
]; // prettier-ignore

/** Undefined: it is used. */
export function whyLeftOutHere({ row }: Form, ring: 0 | 3): string | undefined {
  const { op, encoding, invalid64, feature } = row;
  if (invalid64 || encoding === '') return 'not in 64-bit mode';
  if (feature !== undefined && !MODEL.features.has(feature)) return `the model has no ${feature}`;
  const rules = ring === 0 ? [...LEFT_OUT, ...LEFT_OUT_OF_RING_0] : LEFT_OUT;
  return rules.find(([, ops]) => ops.test(op))?.[0];
}

/** Which ring an instruction needs (SDM 3A 6.9, and the exceptions that SDM 2 lists for each). */
import type { OpcodeRow } from './row.ts';

export interface RingRule {
  /** `iopl`: as high as RFLAGS.IOPL; a string: only with what it says. */
  readonly needs: 'ring 0' | 'IOPL' | `ring 0 if ${string}`;
  /** What it raises elsewhere. */
  readonly fault: '#GP(0)' | '#UD';
}

const RING_0: RingRule = { needs: 'ring 0', fault: '#GP(0)' };
const RING_0_OR_UD: RingRule = { needs: 'ring 0', fault: '#UD' };
const IOPL: RingRule = { needs: 'IOPL', fault: '#GP(0)' };
const UMIP: RingRule = { needs: 'ring 0 if CR4.UMIP', fault: '#GP(0)' };

const of = (rule: RingRule, ops: string): [string, RingRule][] => ops.split(' ').map((op) => [op, rule]);

/** By the row's `op`; what is absent runs in every ring. */
const RULES: ReadonlyMap<string, RingRule> = new Map([
  ...of(RING_0, 'hlt lgdt lidt lldt ltr lmsw clts invd wbinvd invlpg invpcid rdmsr wrmsr xsetbv xsaves xrstors'),
  ...of(RING_0, 'mov_from_control mov_to_control mov_from_debug mov_to_debug swapgs sysret sysexit'),
  ...of(RING_0, 'vmlaunch vmresume vmxon vmxoff vmptrld vmptrst vmclear vmread vmwrite invept invvpid'),
  ...of(RING_0_OR_UD, 'clac stac monitor mwait'),
  ...of(IOPL, 'cli sti in out ins outs'),
  ...of(UMIP, 'sgdt sidt sldt str smsw'),
  ['rdtsc', { needs: 'ring 0 if CR4.TSD', fault: '#GP(0)' }],
  ['rdtscp', { needs: 'ring 0 if CR4.TSD', fault: '#GP(0)' }],
  ['rdpmc', { needs: 'ring 0 if not CR4.PCE', fault: '#GP(0)' }],
]);

export function ringRule({ op }: Pick<OpcodeRow, 'op'>): RingRule | undefined {
  return RULES.get(op);
}

/** 0 if the instruction faults in every other ring. */
export function requiredRing(row: Pick<OpcodeRow, 'op'>): 0 | undefined {
  return ringRule(row)?.needs === 'ring 0' ? 0 : undefined;
}

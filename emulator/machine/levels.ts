/**
 * The two levels of VMX operation of a board's processor. The one that runs is the processor's thread; the other one, which the current VMCS describes, has an id of its own
 * under which memory, registers and tables are looked at.
 */
import type { RegisterInfo } from './api.ts';

export interface OtherLevel {
  readonly id: number;
  /** It is the guest; else the hypervisor. */
  readonly nonRoot: boolean;
  readonly cpl: number;
}

const OTHER = 0x4000_0000;

export function isOtherLevel(id: number): boolean {
  return (id & OTHER) !== 0;
}
export function otherLevelOf(thread: number): number {
  return thread | OTHER;
}
/** The thread of the processor whose level this is. */
export function processorOf(id: number): number {
  return id & ~OTHER;
}

const GENERAL = ['RIP', 'RSP', 'RFLAGS'];
const GROUPS: readonly RegisterInfo['group'][] = ['segment', 'control', 'msr', 'mode'];
/** Registers that VM entries and exits leave alone: what stands in them is of the level that runs. */
const SHARED = /^(CR2|CR8|XCR0)$/;

/** Whether VM entries and exits give each level its own. */
export function isSwitched({ name, group }: Pick<RegisterInfo, 'name' | 'group'>): boolean {
  const upper = name.toUpperCase();
  return group === 'general' ? GENERAL.includes(upper) : GROUPS.includes(group) && !SHARED.test(upper);
}

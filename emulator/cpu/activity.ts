/** Activity and interruptibility states as the VMCS numbers them (SDM 3C 25.4.2); the processor keeps its own in the same numbers. */
import { BLOCKED_BY_MOV_SS, BLOCKED_BY_NMI, BLOCKED_BY_SMI, BLOCKED_BY_STI } from './codes.ts';

export const enum Activity {
  Active = 0,
  Halt = 1,
  Shutdown = 2,
  WaitForSipi = 3,
}

/** Bits of the interruptibility state. */
export const Blocking = {
  STI: BLOCKED_BY_STI,
  MOV_SS: BLOCKED_BY_MOV_SS,
  SMI: BLOCKED_BY_SMI,
  NMI: BLOCKED_BY_NMI,
} as const;
/** The instruction behind STI or a load of SS: interrupts wait. */
export const SHADOW = Blocking.STI | Blocking.MOV_SS;

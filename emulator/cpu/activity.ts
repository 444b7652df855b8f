/** Activity and interruptibility states as the VMCS numbers them (SDM 3C 25.4.2); the processor keeps its own in the same numbers. */

export const enum Activity {
  Active = 0,
  Halt = 1,
  Shutdown = 2,
  WaitForSipi = 3,
}

/** Bits of the interruptibility state. */
export const Blocking = { STI: 1, MOV_SS: 2, SMI: 4, NMI: 8 } as const;
/** The instruction behind STI or a load of SS: interrupts wait. */
export const SHADOW = Blocking.STI | Blocking.MOV_SS;

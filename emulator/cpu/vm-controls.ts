/**
 * Bits of the VM-execution, VM-exit and VM-entry controls that the core looks at (core/vm-transitions.ts); vmx/controls.ts has all of them with their meanings, and
 * takes these from here. Compiled twice, as layout.ts is.
 */
export const PIN_NMI_EXITING = 1 << 3;
export const PIN_VIRTUAL_NMIS = 1 << 5;
export const PIN_TIMER = 1 << 6;
export const PIN_POSTED = 1 << 7;

export const PRIMARY_INTERRUPT_WINDOW = 1 << 2;
export const PRIMARY_TSC_OFFSETTING = 1 << 3;
export const PRIMARY_TPR_SHADOW = 1 << 21;
export const PRIMARY_NMI_WINDOW = 1 << 22;
export const PRIMARY_MONITOR_TRAP = 1 << 27;
export const PRIMARY_SECONDARY_CONTROLS = 0x8000_0000;

export const SECONDARY_APIC_ACCESSES = 1 << 0;
export const SECONDARY_EPT = 1 << 1;
export const SECONDARY_VPID = 1 << 5;
export const SECONDARY_VIRTUAL_INTERRUPTS = 1 << 9;
export const SECONDARY_LOG = 1 << 17;
export const SECONDARY_VIOLATION_EXCEPTION = 1 << 18;
export const SECONDARY_MODE_BASED_EXECUTE = 1 << 22;
export const SECONDARY_SUB_PAGES = 1 << 23;
export const SECONDARY_TSC_SCALING = 1 << 25;

export const EXIT_SAVE_DEBUG = 1 << 2;
export const EXIT_HOST_64 = 1 << 9;
export const EXIT_SAVE_PAT = 1 << 18;
export const EXIT_LOAD_PAT = 1 << 19;
export const EXIT_SAVE_EFER = 1 << 20;
export const EXIT_LOAD_EFER = 1 << 21;

export const ENTRY_LOAD_DEBUG = 1 << 2;
export const ENTRY_IA32E = 1 << 9;
export const ENTRY_LOAD_PAT = 1 << 14;
export const ENTRY_LOAD_EFER = 1 << 15;

/**
 * Small enumerations shared by the interpreter, the core and the driver.
 * Like layout.ts, compiled by AssemblyScript too: plain numeric constants only.
 */

// Why `enter()` returned.
/** The successor at OP is not linked yet. */
export const EXIT_UNLINKED = 1;
/** An indirect branch missed the jump cache; RIP is the target. */
export const EXIT_LOOKUP = 2;
/** The instruction at OP did not complete; FAULT_* says why. State is exactly at its start. */
export const EXIT_FAULT = 3;
/** The budget is nearly used up, or the block at OP is hot. */
export const EXIT_BUDGET = 4;
/** A stop record was reached (single-step scratch blocks). */
export const EXIT_STOP = 6;
/** A system instruction at OP: TypeScript executes it. */
export const EXIT_SYSTEM = 7;
/** A breakpoint record at OP; nothing was executed. */
export const EXIT_BREAK = 8;
/** The budget is too small for the translated region at OP; nothing was executed. */
export const EXIT_REGION_LOW = 9;
/** A translated region has been left often since accesses missed the TLB, lastly at OP; SITE is the region's first record. */
export const EXIT_REGION_SLOW = 10;
/** A translated region is often left by indirect branches, lastly to OP; LINK is the terminator of the branch, SITE the region's first record. */
export const EXIT_REGION_LEFT = 11;
/** A region saves nothing: visits are so short that interpreting would be quicker. SITE: its first record; OP: where to go on. */
export const EXIT_REGION_IDLE = 12;
/** Of the driver alone: an EPT violation was served by a lease (core/page-lease.ts), but that is not all there is to do. */
export const EXIT_SUPPLIED = 13;

// FAULT_KIND: what kind of fault waits.
export const FAULT_NONE = 0;
/** FAULT_VECTOR, FAULT_ERROR (and FAULT_GVA for #PF). */
export const FAULT_EXCEPTION = 1;
/** FAULT_GPA, FAULT_GVA, FAULT_QUALIFICATION. */
export const FAULT_EPT_VIOLATION = 2;
export const FAULT_EPT_MISCONFIG = 3;
/** Not a fault of the guest: the interpreter must redo this one instruction with care (self-modifying code, watched page, unbacked address). */
export const FAULT_BAIL = 4;
/** FAULT_GVA is not canonical: #SS(0) for references to the stack, else #GP(0). */
export const FAULT_NOT_CANONICAL = 5;
/** An access outside a segment, or that its type forbids: #SS(0) or #GP(0). FAULT_ERROR is the segment's number, FAULT_GVA the offset. */
export const FAULT_SEGMENT = 6;
/** The page-modification log is full: FAULT_GPA, FAULT_GVA. */
export const FAULT_LOG_FULL = 7;
/** A sub-page-permission table stands in the way: as an EPT violation. */
export const FAULT_SUB_PAGE = 8;
/** The APIC-access page: FAULT_GPA is the offset, FAULT_VECTOR the access (ACCESS_*), FAULT_ERROR its bytes. */
export const FAULT_APIC_ACCESS = 9;
/** Not a fault of the guest: a listener holds the careful instruction at an access that a stale TLB entry serves. Nothing has happened. */
export const FAULT_HELD = 10;
/** Not a fault: a part of a repeated string instruction is done, and there is more to do (core/strings.ts, `goesOn`). FAULT_ERROR: modelled cycles. */
export const FAULT_PART = 11;

/**
 * Elements of a part of a repeated string instruction, a power of 2. Parts end where RCX is a multiple of it, so that they are a function of the guest's state alone.
 */
export const REPEAT_PART = 0x10000;

// How far an EPT violation was served in the core (core/page-supply.ts).
/** Not at all; nothing has changed. */
export const SUPPLY_NONE = 0;
/** The page is mapped, and the VM exit taken. */
export const SUPPLY_EXITED = 1;
/** The guest has been entered again; its TLB bank is not known. */
export const SUPPLY_ENTERED = 2;
/** To the host's TLB bank, which was in force before this one, and back. */
export const SUPPLY_RETURNED = 3;

// Lazy-flag kinds (CC_OP >> 2).
/** CC_A holds the six flags in RFLAGS positions. */
export const CC_FLAGS = 0;
/** result = CC_A + CC_B. */
export const CC_ADD = 1;
/** result = CC_A - CC_B. */
export const CC_SUB = 2;
/** result = CC_A; CF = OF = AF = 0. */
export const CC_LOGIC = 3;
/** result = CC_A; CF = CC_B. */
export const CC_INC = 4;
export const CC_DEC = 5;
/** result = CC_A; CC_B = the operand shifted by count - 1. */
export const CC_SHL = 6;
export const CC_SHR = 7;
export const CC_SAR = 8;

// Bits of INTERRUPTIBILITY, as the VMCS has them (SDM 3C table 25-3).
export const BLOCKED_BY_STI = 1;
export const BLOCKED_BY_MOV_SS = 2;
export const BLOCKED_BY_SMI = 4;
export const BLOCKED_BY_NMI = 8;

// Access kinds of the memory management unit.
export const ACCESS_READ = 0;
export const ACCESS_WRITE = 1;
export const ACCESS_EXEC = 2;
/** The kind alone. */
export const ACCESS_KIND = 3;
/** Joined to a kind: a supervisor access whatever CPL is (descriptor tables, TSS, stacks of interrupt delivery). */
export const ACCESS_IMPLICIT = 4;
/** Joined to a kind: a user access whatever CPL is (the debugger's walks). */
export const ACCESS_USER = 8;
/** Joined to a kind: presence is all that counts, rights are not checked (the debugger's reads). */
export const ACCESS_UNCHECKED = 16;

/**
 * Offsets in a VMCS region that the core knows (core/vm-transitions.ts); vmx/vmcs.ts gives the other fields their slots behind these. Compiled twice, as
 * cpu/layout.ts. A field has a slot of 8 bytes.
 */

/** 1 after VMLAUNCH; 1 if the entry checks have passed (vmx/checks). u32 each. */
export const REGION_LAUNCHED = 8;
export const REGION_CHECKED = 12;

export const SLOT_PIN = 16;
export const SLOT_PRIMARY = 24;
export const SLOT_SECONDARY = 32;
export const SLOT_EXIT = 40;
export const SLOT_ENTRY = 48;
export const SLOT_VPID = 56;
export const SLOT_EPTP = 64;
export const SLOT_TSC_OFFSET = 72;
export const SLOT_TSC_MULTIPLIER = 80;
export const SLOT_VIRTUAL_APIC = 88;
export const SLOT_POSTED_DESCRIPTOR = 96;
export const SLOT_ENTRY_INTERRUPTION = 104;
export const SLOT_ENTRY_LOAD_COUNT = 112;
export const SLOT_EXIT_STORE_COUNT = 120;
export const SLOT_EXIT_LOAD_COUNT = 128;
export const SLOT_LINK_POINTER = 136;

export const SLOT_EXIT_REASON = 144;
export const SLOT_QUALIFICATION = 152;
export const SLOT_GUEST_LINEAR = 160;
export const SLOT_GUEST_PHYSICAL = 168;
export const SLOT_EXIT_INTERRUPTION = 176;
export const SLOT_EXIT_ERROR = 184;
export const SLOT_VECTORING = 192;
export const SLOT_VECTORING_ERROR = 200;
export const SLOT_INSTRUCTION_LENGTH = 208;
export const SLOT_INSTRUCTION_INFORMATION = 216;

export const SLOT_GUEST_CR0 = 224;
export const SLOT_GUEST_RFLAGS = 232;
export const SLOT_GUEST_DR7 = 240;
export const SLOT_GUEST_DEBUGCTL = 248;
export const SLOT_GUEST_PAT = 256;
export const SLOT_GUEST_EFER = 264;
export const SLOT_GUEST_PENDING_DEBUG = 272;
export const SLOT_GUEST_INTERRUPT_STATUS = 280;
export const SLOT_GUEST_RIP = 288;
export const SLOT_GUEST_CS_RIGHTS = 296;

export const SLOT_HOST_CR0 = 304;
export const SLOT_HOST_PAT = 312;
export const SLOT_HOST_EFER = 320;
/** Selectors of ES, CS, SS, DS, FS and GS in this order. */
export const SLOT_HOST_SELECTORS = 328;
export const SLOT_HOST_TR = 376;
export const SLOT_HOST_FS_BASE = 384;
export const SLOT_HOST_GS_BASE = 392;
export const SLOT_HOST_TR_BASE = 400;
/** The first slot of the other fields. */
export const SLOT_OTHERS = 408;

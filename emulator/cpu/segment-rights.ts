/** Bits of a segment's access rights in VMCS format (SDM 3C 25.4.1), as SEG_RIGHTS holds them. Compiled twice, as layout.ts is. */
export const RIGHTS_TYPE = 0xf;
export const RIGHTS_ACCESSED = 0x1;
/** Of data segments. */
export const RIGHTS_WRITABLE = 0x2;
/** Of code segments. */
export const RIGHTS_READABLE = 0x2;
export const RIGHTS_EXPAND_DOWN = 0x4;
export const RIGHTS_CONFORMING = 0x4;
export const RIGHTS_CODE = 0x8;
/** Code or data. */
export const RIGHTS_S = 0x10;
export const RIGHTS_DPL_SHIFT = 5;
export const RIGHTS_PRESENT = 0x80;
export const RIGHTS_L = 0x2000;
export const RIGHTS_DB = 0x4000;
export const RIGHTS_G = 0x8000;
export const RIGHTS_UNUSABLE = 0x1_0000;

// What a VM exit loads whatever the descriptors say (SDM 3C 28.5.2).
export const HOST_LIMIT = 0xffff_ffff;
export const HOST_CODE_RIGHTS_64 = 0xa09b;
export const HOST_CODE_RIGHTS_32 = 0xc09b;
export const HOST_DATA_RIGHTS = 0xc093;
export const HOST_TSS_RIGHTS = 0x8b;
export const HOST_TSS_LIMIT = 0x67;

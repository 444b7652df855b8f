/**
 * Keys of TLB banks, which mmu/banks.ts hands out and core/bank-keys.ts compares (compiled twice, as cpu/layout.ts): KEY_WORDS u32 a bank at BANK_KEYS. Word 0 what decides
 * rights, and the CPU in bits 31:16; 1 VPID and PCID; 2 and 3 EPTP; 4 and 5 CR3, unless PCIDs are on; 6 PKRU.
 */
export const KEY_WORDS = 7;
/** CR3 and VMX_MODE when a bank was last in force. */
export const ROOT_WORDS = 3;

export const KEY_USER = 1;
export const KEY_WRITE_PROTECT = 2;
export const KEY_PAGING = 4;
export const KEY_SMAP = 8;
export const KEY_SMEP = 16;
export const KEY_NO_EXECUTE = 32;
export const KEY_LA57 = 64;
/** Alignment checks are on: the bank stays empty so that every access takes the slow path. */
export const KEY_UNCACHED = 128;
export const KEY_PAE = 256;
export const KEY_LONG = 512;
export const KEY_PAGE_4M = 1024;
export const KEY_PROTECTION = 2048;

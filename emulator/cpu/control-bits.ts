/**
 * Bits of RFLAGS (SDM 1 3.4.3), CR0 and CR4 (SDM 3A 2.5), DR7 (SDM 3B 18.2.4), XCR0 (SDM 1 13.3) and EFER (SDM 4 2.1). Compiled twice, as layout.ts is: plain numeric constants only.
 * control-bits-64.ts has them for values of 64 bits, describe/bits.ts says what they mean.
 */
export const RFLAGS_CF = 0x1;
export const RFLAGS_PF = 0x4;
export const RFLAGS_AF = 0x10;
export const RFLAGS_ZF = 0x40;
export const RFLAGS_SF = 0x80;
export const RFLAGS_TF = 0x100;
export const RFLAGS_IF = 0x200;
export const RFLAGS_DF = 0x400;
export const RFLAGS_OF = 0x800;
export const RFLAGS_IOPL = 0x3000;
export const RFLAGS_NT = 0x4000;
export const RFLAGS_RF = 0x1_0000;
export const RFLAGS_VM = 0x2_0000;
export const RFLAGS_AC = 0x4_0000;
export const RFLAGS_VIF = 0x8_0000;
export const RFLAGS_VIP = 0x10_0000;
export const RFLAGS_ID = 0x20_0000;
/** CF PF AF ZF SF OF: what CC_OP, CC_A and CC_B stand for. */
export const RFLAGS_ARITHMETIC = 0x8d5;
/** TF IF DF IOPL NT RF VM AC VIF VIP ID: what SYSTEM_FLAGS holds. */
export const RFLAGS_SYSTEM = 0x3f_7700;

export const CR0_PE = 0x1;
export const CR0_EM = 0x4;
export const CR0_TS = 0x8;
export const CR0_ET = 0x10;
export const CR0_WP = 0x1_0000;
export const CR0_AM = 0x4_0000;
export const CR0_NW = 0x2000_0000;
export const CR0_CD = 0x4000_0000;
export const CR0_PG = 0x8000_0000;
/** ET, CD, NW and the reserved bits: neither VM entries nor VM exits change them (SDM 3C 27.3.2.1, 28.5.1). */
export const CR0_KEPT = 0x7ffa_ffd0;

export const CR4_TSD = 0x4;
export const CR4_DE = 0x8;
export const CR4_PSE = 0x10;
export const CR4_PAE = 0x20;
export const CR4_MCE = 0x40;
export const CR4_PGE = 0x80;
export const CR4_PCE = 0x100;
export const CR4_OSFXSR = 0x200;
export const CR4_OSXMMEXCPT = 0x400;
export const CR4_UMIP = 0x800;
export const CR4_LA57 = 0x1000;
export const CR4_VMXE = 0x2000;
export const CR4_FSGSBASE = 0x1_0000;
export const CR4_PCIDE = 0x2_0000;
export const CR4_OSXSAVE = 0x4_0000;
export const CR4_SMEP = 0x10_0000;
export const CR4_SMAP = 0x20_0000;
export const CR4_PKE = 0x40_0000;

/** Enables of the four breakpoints. */
export const DR7_ENABLES = 0xff;
/** Always 1. */
export const DR7_ONE = 0x400;
/** What a VM entry takes from the VMCS (SDM 3C 27.3.2.1). */
export const DR7_LOADED = 0xffff_2fff;

/** SSE and AVX state. */
export const XCR0_AVX = 6;

export const EFER_SCE = 0x1;
export const EFER_LME = 0x100;
export const EFER_LMA = 0x400;
export const EFER_NXE = 0x800;

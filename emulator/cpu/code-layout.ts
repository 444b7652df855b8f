/**
 * Layouts of decoded code that both sides write: records, what is known of blocks, heads and templates of instructions. Compiled twice, as layout.ts is.
 */

// ---------------------------------------------------------------- records (records.ts says what they are)
/** The first register operand, u16; the others follow. */
export const RECORD_REGISTERS = 2;

export const TERMINATOR_COUNT = 2;
export const TERMINATOR_COUNTDOWN = 4;
export const TERMINATOR_LINKS = 8;
export const TERMINATOR_SIZE = 16;

export const STUB_CELL = 4;
export const STUB_TARGET = 8;
export const STUB_PFN = 16;
export const STUB_SIZE = 24;
/** In place of a frame: the link never goes to the target directly. */
export const NO_FRAME = 0xffff_ffff;
/** A stub in place of a record: up to its frame. No block is smaller. */
export const MARK_SIZE = 16;

export const HANDLER_UNLINKED = 1;
export const HANDLER_FAR = 3;

/**
 * Bytes from a block's first record on that an indirect jump to it reads a byte of each line of, for nothing but that the host fetches them at once and not one after
 * the other: code that is gone to like this is often in no cache. Behind the last record is memory, too.
 */
export const TOUCHED_BYTES = 256;
export const CACHE_LINE = 64;

/** Instructions a block has at most. */
export const MOST_INSTRUCTIONS = 32;
/** Room for the largest block, of records of 64 bytes, and its stubs. */
export const LARGEST_BLOCK = 34 * 64;

// ---------------------------------------------------------------- what is known of a block, 32 bytes
/** Linear address. u64 */
export const BLOCK_GVA = 0;
/** Its first record. u32 */
export const BLOCK_RECORD = 8;
export const BLOCK_PFN = 12;
/** Frame of the second page when its last instruction crosses, or -1. i32 */
export const BLOCK_SECOND_PFN = 16;
/** With the address of its first record: the last instruction goes on on another page. */
export const BLOCK_CROSSES = 1;
/** The next of the same frame: number + 1, or 0. u32 */
export const BLOCK_SIBLING = 20;
/** Instructions. u8 */
export const BLOCK_INSTRUCTIONS = 24;
/** BLOCK_LIVE, BLOCK_SINGLE. u8 */
export const BLOCK_FLAGS = 25;
export const BLOCK_LIVE = 1;
/** Made for one single step. */
export const BLOCK_SINGLE = 2;
/** Bytes of code. u16 */
export const BLOCK_BYTES = 26;
/** CodeContext and segments. u32 */
export const BLOCK_CONTEXT = 28;

// ---------------------------------------------------------------- heads: prefixes, opcode and ModRM
/** Maps of HEADS: one byte, 0F, 0F38, 0F3A, then from here the three of VEX prefixes. */
export const FIRST_VEX_MAP = 4;
// What a byte of HEADS says of an opcode: 0 until one has been met.
export const HEAD_NO_MODRM = 1;
/** ModRM chooses among the rows of the opcode by whether it names memory. */
export const HEAD_KIND = 2;
/** By its reg field, too. */
export const HEAD_REG = 3;
/** By all of it, where it names registers. */
export const HEAD_EXACT = 4;
/** Left to the decoder of cpu/decode.ts. */
export const HEAD_LEFT = 5;
export const HEAD_ESCAPE = 6;
export const HEAD_VEX2 = 7;
export const HEAD_VEX3 = 8;
/** Prefixes from here on. */
export const HEAD_REX = 9;
export const HEAD_OPERAND_SIZE = 10;
export const HEAD_LOCK = 11;
export const HEAD_REPEAT = 12;
/** FS, GS. */
export const HEAD_SEGMENT = 13;
/** Segment prefixes without effect in 64-bit mode. */
export const HEAD_IGNORED = 14;

/**
 * The key of a head: all of it that templates depend on. Bits 7:0 ModRM, as far as it matters; 15:8 opcode; 18:16 map; 20:19 addressing; then
 * prefixes; bit 31 is set.
 */
export const KEY_OPCODE_SHIFT = 8;
export const KEY_MAP_SHIFT = 16;
export const KEY_BASED = 0x80000;
export const KEY_INDEXED = 0x100000;
export const KEY_OPERAND_SIZE = 0x200000;
/** 2 F3, 3 F2. */
export const KEY_REPEAT_SHIFT = 22;
export const KEY_WIDE = 0x1000000;
export const KEY_REX = 0x2000000;
export const KEY_FS = 0x4000000;
export const KEY_GS = 0x8000000;
export const KEY_LOCK = 0x10000000;
export const KEY_L = 0x20000000;
export const KEY_VALID = 0x80000000;

// ---------------------------------------------------------------- templates, 128 bytes
export const TEMPLATE_SIZE = 128;
/** Of its head; 0: free. u32 */
export const TEMPLATE_KEY = 0;
export const TEMPLATE_FLAGS = 4;
/** Handler in general, and when the flags it writes are dead. u16 each. */
export const TEMPLATE_HANDLER = 8;
export const TEMPLATE_FLAGLESS = 10;
/** Bytes of its record. u16 */
export const TEMPLATE_BYTES = 12;
/** Offset of the terminator, if it ends a block. u16 */
export const TEMPLATE_TERMINATOR = 14;
/** Where each register operand comes from: SELECT_* + source; 0: as in the image. u8 each. */
export const TEMPLATE_REGISTERS = 16;
/** IMMEDIATE_* of the immediate and of the distance of a direct branch. u8 each. */
export const TEMPLATE_IMMEDIATE = 20;
export const TEMPLATE_DISTANCE = 21;
/** Bits of a shift count; with all of them 0 it is another instruction. u8 */
export const TEMPLATE_COUNT_MASK = 22;
/** Condition of a conditional jump. u8 */
export const TEMPLATE_CONDITION = 23;
/** Where base, index, immediate and displacement stand in the record, and the address of the next instruction; 0: nowhere. u8 each. */
export const TEMPLATE_BASE = 24;
export const TEMPLATE_INDEX = 25;
export const TEMPLATE_IMMEDIATE_AT = 26;
export const TEMPLATE_DISPLACEMENT = 27;
export const TEMPLATE_NEXT = 28;
/** Handlers of the pairs with a conditional jump after it, by condition; 0: no such pair. u16 each. */
export const TEMPLATE_FUSED = 32;
/** The record, but for what differs. Up to 64 bytes. */
export const TEMPLATE_IMAGE = 64;

export const FLAG_ENDS = 1;
/** A direct branch. */
export const FLAG_TARGET = 2;
/** The conditional jump of fused pairs. */
export const FLAG_JUMPS = 4;
export const FLAG_DROPPABLE = 8;
export const FLAG_WRITES_ALL = 16;
export const FLAG_SEES_FLAGS = 32;
export const FLAG_HARMLESS = 64;
/** Its memory operand is that of ModRM. */
export const FLAG_MEMORY = 128;
/** Its immediate takes 8 bytes. */
export const FLAG_WIDE_IMMEDIATE = 256;
export const FLAG_VVVV = 512;
/** Needs the AVX state. */
export const FLAG_AVX = 1024;

export const SOURCE_REG = 1;
export const SOURCE_RM = 2;
export const SOURCE_OPCODE = 3;
export const SOURCE_VVVV = 4;
export const SELECT_GPR = 8;
/** 8 bits of a register; without REX, 4 to 7 are AH to BH. */
export const SELECT_BYTE = 16;
export const SELECT_XMM = 24;
export const SELECT_MMX = 32;
export const SELECT_ST = 40;

export const IMMEDIATE_SIGNED_8 = 1;
export const IMMEDIATE_UNSIGNED_8 = 2;
export const IMMEDIATE_SIGNED_16 = 3;
export const IMMEDIATE_UNSIGNED_16 = 4;
export const IMMEDIATE_SIGNED_32 = 5;
export const IMMEDIATE_64 = 6;

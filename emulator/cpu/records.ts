/**
 * The decoded record: 32 bytes (RECORD_SIZE) an instruction, read by the interpreter's handlers.
 *
 *   0 handler u16 | 2 first register u16 | 4 second u16 | 6 third u16 | 8 base u16 | 10 index u16 | 12 scale u8 | 13 address u8
 *   14 segment u16 | 16 immediate i64 | 24 displacement i64
 *
 * Registers, base, index and segment are addresses in linear memory (cpu/layout.ts): an absent one is that of ZERO, AH is that of RAX plus 1.
 *
 * A fourth register (VBLENDVPS) stands in place of the base: there is no memory operand then.
 *
 * The record that ends a block also holds the block's terminator, and a record after it does when the instruction needs its own fields for operands
 * (`terminatorFollows`); that one then begins with the address of the next instruction:
 *
 *   0 next u64 (only in a record of its own) | 14 count u16 | 16 fall-through link u32 | 20 taken link u32 | 28 countdown u32
 *
 * A link is the address of the record to go on with. A stub is a record with its own handler and a target:
 *
 *   0 handler u16 | 8 target u64 | 16 cell u32, the link to be patched | 20 frame u32 and 24 linear page u64 that the link stands on
 */
import * as C from './code-layout.ts';
import type { Operand } from './instruction.ts';
import * as L from './layout.ts';

export const RECORD = {
  handler: 0,
  /** Of the first to fourth register operand. */
  registers: [0, 2, 4, 6].map((at) => C.RECORD_REGISTERS + at) as [number, number, number, number],
  base: C.RECORD_BASE,
  index: C.RECORD_INDEX,
  /** log2 of the scale. */
  scale: C.RECORD_SCALE,
  /** Bits 5:0: what to clear at the top of the effective address (64 minus address size); bit 7: linear addresses are 32 bits wide. */
  address: 13,
  /** Address of the segment base. */
  segment: 14,
  immediate: C.RECORD_IMMEDIATE,
  displacement: C.RECORD_DISPLACEMENT,
} as const;
/** Second immediate (ENTER), in place of the displacement. */
export const SECOND_IMMEDIATE = RECORD.displacement;
/** Second memory operand (string instructions, which have no register operands): base and segment alone. */
export const SECOND_MEMORY = { base: RECORD.registers[0], segment: RECORD.registers[1] } as const;
export const LINEAR_32 = 0x80;

export const TERMINATOR = {
  /** Linear address of the next instruction, in a record of its own only. */
  next: 0,
  /** Instructions of the block. */
  count: C.TERMINATOR_COUNT,
  /** Links: fall-through, then taken. */
  links: C.TERMINATOR_LINKS,
  /** Executions left until the block is hot. */
  countdown: C.TERMINATOR_COUNTDOWN,
} as const;

export const STUB = {
  handler: 0,
  target: C.STUB_TARGET,
  cell: C.STUB_CELL,
  pfn: C.STUB_PFN,
  page: C.STUB_PAGE,
} as const;

/** Handlers that are no instruction's. */
export const HANDLER = {
  /** Stub: the target has no record yet, or no more. */
  unlinked: C.HANDLER_UNLINKED,
  /** Stub: end of a single step. */
  stop: 2,
  /** Stub: the target is on another page; goes through the jump cache. */
  far: C.HANDLER_FAR,
  /** Stub: a breakpoint stands at the target. */
  breakpoint: 4,
  /** An instruction that TypeScript executes, or that does not exist. */
  system: 5,
  /** As `far`, outside 64-bit mode: RIP is an offset in CS. */
  farInSegment: 6,
  firstForm: 8,
} as const;

/** How a memory operand's address is computed; the letter that a handler key ends with. */
export type Addressing =
  /** base + displacement; 64 bits, no segment base. */
  | 'b'
  /** base + index << scale + displacement; 64 bits, no segment base. */
  | 'x'
  /** Everything: segment base, address size. */
  | 'g';

/** What a segment is asked for: bytes, and whether they are written. Third argument of the core's `segmentAddress`. */
export const segmentAccess = (bytes: number, write: boolean): number => bytes | (write ? 0x10000 : 0);

/** Budget below which `enter` does not begin a block; longer than any block. */
export const BUDGET_MARGIN = 64;
/** Instructions a block has at most. */
export const MAX_BLOCK = C.MOST_INSTRUCTIONS;

/** What a register field holds, or undefined if the operand is none. */
export function registerField(operand: Operand): number | undefined {
  switch (operand.kind) {
    case 'gpr':
      return L.GPR + operand.register * 8 + (operand.high ? 1 : 0);
    case 'xmm':
    case 'ymm':
      return L.XMM + operand.register * L.XMM_STRIDE;
    case 'mmx':
      return L.X87 + operand.register * 16;
    case 'st':
      return operand.register;
    case 'segment':
      return L.SEG + operand.register * L.SEG_STRIDE + L.SEG_SELECTOR;
    default:
      return undefined;
  }
}

/** Whether a block end keeps its terminator in a record of its own. */
export function terminatorFollows(operands: readonly Operand[], needsNext: boolean): boolean {
  return needsNext || operands.some((operand) => operand.kind === 'memory' || operand.kind === 'immediate');
}

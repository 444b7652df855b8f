/**
 * Decoded code: a record an instruction, read by the interpreter's handlers. A large program is bound by how many bytes of it are touched, so a record has what its
 * handler reads and nothing else (`layoutOf`), in units of 8 bytes:
 *
 *   handler u16 | registers u16 each | base u16 | index u16, with the scale in its low bits | segment u16 | address u8 | immediates i32 or i64 | displacement i64
 *
 * Registers, base, index and segment are addresses in linear memory (cpu/layout.ts): an absent one is that of ZERO, AH is that of RAX plus 1.
 *
 * The instruction that ends a block has the block's terminator behind its fields, which begins at its handler if it has none; where the instruction needs it the
 * address of the next one follows:
 *
 *   2 count u16 | 4 countdown u32 | 8 fall-through link u32 | 12 taken link u32
 *
 * A link is the address of the record to go on with. A stub is a record with its own handler and a target:
 *
 *   0 handler u16 | 4 cell u32, the link to be patched | 8 target u64 | 16 frame u32 that the link stands on, NO_FRAME if the target lies on another page
 *
 * Stubs of links stand apart from records, from the end of the area downwards: most are met once. Those in place of a record end before the frame.
 */
import * as C from './code-layout.ts';
import type { Form } from './emitter.ts';
import type { Operand } from './instruction.ts';
import * as L from './layout.ts';

/** Offset of the handler in every record. */
export const RECORD_HANDLER = 0;
/** In the field of the address: bits 5:0 what to clear at the top of the effective address (64 minus address size); this: linear addresses are 32 bits wide. */
export const LINEAR_32 = 0x80;
/** In the field of the index: log2 of the scale. Addresses of registers are multiples of 8. */
export const SCALE_BITS = 7;

export const TERMINATOR = {
  /** Instructions of the block. */
  count: C.TERMINATOR_COUNT,
  /** Executions left until the block is hot. */
  countdown: C.TERMINATOR_COUNTDOWN,
  /** Links: fall-through, then taken. */
  links: C.TERMINATOR_LINKS,
} as const;

export const STUB = {
  handler: 0,
  cell: C.STUB_CELL,
  target: C.STUB_TARGET,
  pfn: C.STUB_PFN,
} as const;

/** Where the fields of a record stand; -1 for what it does not have. */
export interface RecordLayout {
  /** Of the register operands in order. */
  readonly registers: readonly number[];
  readonly base: number;
  readonly index: number;
  readonly segment: number;
  readonly address: number;
  readonly displacement: number;
  /** Of the second memory operand (string instructions). */
  readonly secondBase: number;
  readonly secondSegment: number;
  readonly immediates: readonly number[];
  /** Bytes of an immediate. */
  readonly immediateBytes: 4 | 8;
  readonly terminator: number;
  /** Linear address of the next instruction. */
  readonly next: number;
  /** Bytes, a multiple of RECORD_UNIT. */
  readonly size: number;
}

const aligned = (at: number, to: number): number => Math.ceil(at / to) * to;

/**
 * @param how 'g' for the general handlers, whose memory operand may be anything
 * @param ends the instruction ends a block
 */
export function layoutOf(
  { op, size, operands }: Pick<Form, 'op' | 'size' | 'operands'>,
  how: Addressing,
  ends = false,
  needsNext = false,
): RecordLayout {
  const memories = operands.filter(({ kind }) => kind === 'memory').length;
  const immediateCount = operands.filter(({ kind }) => kind === 'immediate').length;
  // MOV alone has immediates of 64 bits.
  const immediateBytes = op === 'mov' && size === 8 ? 8 : 4;
  const general = how === 'g';
  let at = C.RECORD_REGISTERS;
  const take = (bytes: number, wanted: boolean): number => {
    if (!wanted) return -1;
    const from = aligned(at, bytes);
    at = from + bytes;
    return from;
  };
  const fields = {
    registers: operands.filter((operand) => registerField(operand) !== undefined).map(() => take(2, true)),
    base: take(2, memories > 0),
    index: take(2, memories > 0 && how !== 'b'),
    segment: take(2, memories > 0 && general),
    secondBase: take(2, memories > 1),
    secondSegment: take(2, memories > 1),
    address: take(1, memories > 0 && general),
    immediates: Array.from({ length: immediateCount }, () => take(immediateBytes, true)),
    immediateBytes,
    displacement: take(8, memories > 0),
  } as const;
  let terminator = -1;
  if (ends) {
    terminator = at === C.RECORD_REGISTERS ? 0 : aligned(at, L.RECORD_UNIT);
    at = terminator + C.TERMINATOR_SIZE;
  }
  const next = take(8, needsNext);
  return { ...fields, terminator, next, size: aligned(at, L.RECORD_UNIT) };
}

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

/** As a form, the record before an instruction that checks its memory operand: the operand, and what its segment is asked for (`segmentAccess`). */
export const SEGMENT_CHECK: Form = {
  op: 'check_segment',
  size: 0,
  operands: [
    { kind: 'memory', base: 0, index: 0, scale: 0, displacement: 0n, segment: 0, addressSize: 32 },
    { kind: 'immediate', value: 0n },
  ],
  rep: 'none',
};
export const SEGMENT_CHECK_LAYOUT = layoutOf(SEGMENT_CHECK, 'g');

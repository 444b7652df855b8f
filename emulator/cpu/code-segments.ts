/**
 * What decoded code depends on outside 64-bit mode beside its mode: base and limit of CS, width of the stack, which segments are free of base and bounds.
 * Segments that never refuse an access and have base 0 need no check, so code in flat segments is as fast as its operands; which segments are flat is
 * decided when a block is decoded.
 */
import type { LegacyForm } from './emitter.ts';
import type { DecodedInstruction } from './decode.ts';
import * as L from './layout.ts';
import type { LinearMemory } from './state.ts';
import { alwaysChecked, isString, usesStack } from './table/legacy.ts';
import { CR0_PE, RFLAGS_VM } from './control-bits.ts';
import { RIGHTS_DB } from './segment-rights.ts';

const MODE_64 = 2;
const SS = 2;
const GS = 5;
/** Access rights in VMCS format (SDM 3C 25.4.1): writable data that does not expand down. */
const RIGHTS_MASK = 0x1001e;
const FLAT_RIGHTS = 0x12;
const FLAT_LIMIT = 0xffff_ffff;

export interface CodeSegments {
  /** Names it among all that were met; 0 is 64-bit mode. */
  readonly id: number;
  /** Of CS. */
  readonly base: number;
  readonly limit: number;
  readonly stack: LegacyForm;
  /** Bit n: segment register n has base 0 and refuses nothing. */
  readonly flat: number;
  /** Real or virtual-8086 mode: VEX prefixes are #UD (SDM 2A 2.3.1). */
  readonly without: 'nothing' | 'vex';
}

export class CodeSegmentTable {
  readonly #known = new Map<string, CodeSegments>();

  constructor(readonly mem: LinearMemory) {}

  /** Those in force; undefined in 64-bit mode. */
  current(): CodeSegments | undefined {
    const { mem } = this;
    if (mem.get32(L.CODE_MODE) === MODE_64) return undefined;
    let flat = 0;
    for (let segment = 0; segment <= GS; segment++) if (isFlat(mem, segment)) flat |= 1 << segment;
    const big = mem.get32(L.SS + L.SEG_RIGHTS) & RIGHTS_DB;
    const stack = !big ? '2' : flat & (1 << SS) ? 'f' : '4';
    const plain = (mem.get32(L.CR0) & CR0_PE) !== 0 && (mem.get32(L.SYSTEM_FLAGS) & RFLAGS_VM) === 0;
    const base = mem.get32(L.CS + L.SEG_BASE);
    const limit = mem.get32(L.CS + L.SEG_LIMIT);
    const key = `${base} ${limit} ${flat} ${stack} ${plain}`;
    let found = this.#known.get(key);
    if (!found) {
      found = { id: this.#known.size + 1, base, limit, stack, flat, without: plain ? 'nothing' : 'vex' };
      this.#known.set(key, found);
    }
    return found;
  }
}

function isFlat(mem: LinearMemory, segment: number): boolean {
  const at = L.SEG + segment * L.SEG_STRIDE;
  return (
    mem.get32(at + L.SEG_LIMIT) === FLAT_LIMIT &&
    (mem.get32(at + L.SEG_RIGHTS) & RIGHTS_MASK) === FLAT_RIGHTS &&
    mem.get64(at + L.SEG_BASE) === 0n
  );
}

/** The form an instruction needs in these segments. */
export function legacyForm({ op, operands }: DecodedInstruction, segments: CodeSegments): LegacyForm | undefined {
  if (usesStack(op)) return segments.stack;
  if (alwaysChecked(op, operands)) return 'c';
  if (!isString(op)) return undefined;
  const free = operands.every(
    (operand) => operand.kind !== 'memory' || (operand.addressSize !== 16 && (segments.flat >> operand.segment) & 1),
  );
  return free ? undefined : 'c';
}

/** Whether a direct branch leads out of the code segment, which faults when it is taken. */
export function leavesSegment({ operands }: DecodedInstruction, segments: CodeSegments): boolean {
  const target = operands.find((operand) => operand.kind === 'target');
  return target !== undefined && (Number(target.gva) - segments.base) >>> 0 > segments.limit;
}

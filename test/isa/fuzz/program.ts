/** Random programs: one instruction of a form, or up to thirty with forward branches. What they leave undefined is known at every instruction. */
import { decode } from '../../../emulator/cpu/decode.ts';
import type { DecodedInstruction } from '../../../emulator/cpu/decode.ts';
import type { MemoryOperand } from '../../../emulator/cpu/instruction.ts';
import { AF, ARITHMETIC_FLAGS, CF, OF, PF, SF, ZF } from '../../../emulator/cpu/semantics/operations.ts';
import type { Random } from '../support/random.ts';
import { undefinedFlags } from '../support/undefined-flags.ts';
import { Encoder } from './encoder.ts';
import { DECODE_TABLE } from './forms.ts';
import type { Form } from './forms.ts';
import { exitBytes, MOST_EXIT_BYTES, PROGRAM_STRIDE } from './layout.ts';

export interface Program {
  /** Linear address. */
  readonly address: number;
  /** Without the exit. */
  readonly code: readonly number[];
  readonly instructions: readonly Placed[];
  /** Registers that memory operands of a sequence begin at. */
  readonly pointers: readonly number[];
  /** Flags that nobody can know at the end. */
  readonly unknown: number;
  /** Form of a single instruction. */
  readonly form: Form | undefined;
}
export interface Placed {
  readonly offset: number;
  readonly length: number;
  /** Undefined: the bytes are no instruction. */
  readonly insn: DecodedInstruction | undefined;
  /** Flags that nobody can know before it. */
  readonly unknown: number;
}

const LONGEST = PROGRAM_STRIDE - MOST_EXIT_BYTES - 16;
const NOP = 0x90;
/** Of the eight pairs of conditions: O B E BE S P L LE. */
const CONDITION_READS = [OF, CF, ZF, CF | ZF, SF, PF, SF | OF, SF | OF | ZF];
/** C1 of the x87 status word, beside the flags: FCOMI clears it by the SDM and leaves it on AMD processors. */
const C1 = 1 << 20;
const LEAVES_C1 = /^fu?comip?$/;
const READS: Record<string, number> = {
  adc: CF, sbb: CF, adcx: CF, adox: OF, rcl: CF, rcr: CF, cmc: CF, lahf: SF | ZF | AF | PF | CF, pushf: ARITHMETIC_FLAGS,
  loope: ZF, loopne: ZF, fnstsw: C1, fcmovb: CF, fcmovnb: CF, fcmove: ZF, fcmovne: ZF, fcmovbe: CF | ZF, fcmovnbe: CF | ZF, fcmovu: PF, fcmovnu: PF,
}; // prettier-ignore
/** Not in sequences: they end them, or run far on a register that was random before. */
const ALONE =
  /^(jmp|call|ret|jmp_indirect|call_indirect|ud\d|int3|loop|loope|loopne|jrcxz|popf|enter|leave|xlat|movs|stos|lods|cmps|scas|maskmov.*|div|idiv|hlt|cli|sti|std|in|out|ins|outs|vmaskmov.*|wr[fg]sbase)$/;
const COUNT_IN_CL = /^(sh|sa|ro|rc)/;
const FLAG: Record<string, number> = { o: OF, s: SF, z: ZF, a: AF, p: PF, c: CF };
const maskOf = (letters = ''): number => [...letters].reduce((mask, letter) => mask | FLAG[letter]!, 0);

export const memoryOperand = (insn: DecodedInstruction): MemoryOperand | undefined =>
  insn.operands.find((operand) => operand.kind === 'memory');

const countsByCl = ({ op, operands }: DecodedInstruction): boolean =>
  COUNT_IN_CL.test(op) && operands.length > 1 && operands.at(-1)!.kind === 'gpr' && !/x$/.test(op);

/** What an instruction reads, surely writes and leaves undefined, when it is not known what the registers hold. */
function flagsOf(insn: DecodedInstruction): { reads: number; writes: number; leaves: number } {
  const { op, condition, row, rep } = insn;
  const reads = condition === undefined ? (READS[op] ?? 0) : CONDITION_READS[condition >> 1]!;
  if (LEAVES_C1.test(op)) return { reads, writes: maskOf(row.writes), leaves: C1 };
  if (countsByCl(insn)) return { reads, writes: 0, leaves: AF | OF | CF };
  const leaves = undefinedFlags(insn, NO_REGISTERS);
  return { reads, writes: rep === 'none' ? maskOf(row.writes) & ~leaves : 0, leaves };
}
const NO_REGISTERS = new BigUint64Array(16);

/** Whether the result of an instruction is undefined for some contents of registers. */
function mayBeUndefined(insn: DecodedInstruction): boolean {
  const { op, size, operands } = insn;
  if (op === 'bswap') return size === 2;
  if (op !== 'shld' && op !== 'shrd') return false;
  const count = operands[2]!;
  return size === 2 && (count.kind !== 'immediate' || (Number(count.value) & 31) > 16);
}

/** What one operand or prefix makes different between processors. */
function isLeftOut(insn: DecodedInstruction): boolean {
  const { op, rep } = insn;
  // With a count of 0 AMD processors check the I/O permission all the same.
  if (op === 'ins' || op === 'outs') return rep !== 'none';
  // Alignment of SHA operands is by the SDM wanted, and not by AMD processors: it has to be in the hands of a register.
  const memory = memoryOperand(insn);
  return /^sha\d/.test(op) && memory !== undefined && (memory.base < 0 || memory.index >= 0);
}

/** One instruction of a form, or undefined if chance made one that is another or of no use. `invalid`: it may be one that does not exist. */
function instruction(
  random: Random,
  { row, size }: Form,
  address: number,
  pointers: readonly number[] | undefined,
): { bytes: number[]; insn: DecodedInstruction | undefined } | undefined {
  const bytes = new Encoder(random, row, size, { address, ahead: 8, ...(pointers ? { pointers } : {}) }).encode();
  const insn = decode(Uint8Array.from([...bytes, 0, 0]), 0, BigInt(address), 2, DECODE_TABLE);
  if (!insn) return bytes.includes(0xf0) && !pointers ? { bytes, insn } : undefined;
  if (insn.length !== bytes.length || (insn.op !== row.op && insn.op !== 'shift_by_zero')) return undefined;
  if ((row.sizes?.length ?? 0) > 1 && insn.size !== size) return undefined;
  return mayBeUndefined(insn) || isLeftOut(insn) ? undefined : { bytes, insn };
}

/** A single instruction of a form; several attempts, since not every encoding is of use. */
export function single(random: Random, form: Form, address: number): Program | undefined {
  for (let attempt = 0; attempt < 12; attempt++) {
    const made = instruction(random, form, address, undefined);
    if (!made) continue;
    const code = [...made.bytes];
    // What a forward branch passes over.
    if (form.row.branch) for (let i = 0; i < 8; i++) code.push(NOP);
    const { insn } = made;
    const writes = insn ? flagsOf(insn) : { leaves: 0 };
    const placed = { offset: 0, length: made.bytes.length, insn, unknown: 0 };
    return { address, code, instructions: [placed], pointers: [], unknown: writes.leaves, form };
  }
  return undefined;
}

const POINTERS = [3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

export function sequence(random: Random, forms: readonly Form[], address: number, most: number): Program {
  const pointers = [random.pick(POINTERS), random.pick(POINTERS)];
  const length = 2 + random.below(most - 1);
  const code: number[] = [];
  const instructions: Placed[] = [];
  let unknown = 0;
  /** Joins of branches: offset, and what is unknown on the way that jumps. */
  let pending: { after: number; offset: number; unknown: number; at: number } | undefined;
  for (let tries = 0; instructions.length < length && code.length < LONGEST && tries < 200; tries++) {
    const form = random.pick(forms);
    if (ALONE.test(form.row.op)) continue;
    if (pending && instructions.length >= pending.after) pending = join(pending);
    const made = instruction(random, form, address + code.length, pointers);
    if (!made?.insn || made.insn.op === 'jcc' || (/^sha\d/.test(made.insn.op) && memoryOperand(made.insn))) continue;
    const { reads, writes, leaves } = flagsOf(made.insn);
    if (reads & unknown) continue;
    instructions.push({ offset: code.length, length: made.bytes.length, insn: made.insn, unknown });
    code.push(...made.bytes);
    unknown = ((unknown & ~writes) | leaves) & (ARITHMETIC_FLAGS | C1);
    if (!pending && random.oneIn(6)) pending = branch(instructions.length + 1 + random.below(3));
  }
  if (pending) join(pending);
  return { address, code, instructions, pointers, unknown, form: undefined };

  /** JCC over what follows; its distance is written when that is known. */
  function branch(after: number): typeof pending {
    const condition = random.below(16);
    if (CONDITION_READS[condition >> 1]! & unknown) return undefined;
    const bytes = [0x70 + condition, 0];
    const insn = decode(Uint8Array.from(bytes), 0, BigInt(address + code.length), 2, DECODE_TABLE);
    instructions.push({ offset: code.length, length: 2, insn, unknown });
    code.push(...bytes);
    return { after: after + 1, offset: code.length, unknown, at: code.length - 1 };
  }
  function join(from: NonNullable<typeof pending>): undefined {
    const distance = code.length - from.offset;
    code[from.at] = distance > 127 ? 0 : distance;
    unknown |= from.unknown;
    return undefined;
  }
}

/** Bytes as they stand in memory: the code, then the exit. */
export const withExit = ({ address, code }: Program): number[] => [...code, ...exitBytes(address + code.length)];

/** Flags that nobody can know where a program stopped. */
export function unknownAt({ address, instructions, unknown }: Program, rip: number): number {
  const at = instructions.find(({ offset }) => address + offset === rip);
  return at ? at.unknown : unknown;
}

/** The program with what is unknown before each instruction and at its end, found anew. */
export function unknownsOf(program: Program): Program {
  const joins = new Map<number, number>();
  let unknown = 0;
  const instructions = program.instructions.map((placed) => {
    const { insn, offset } = placed;
    unknown |= joins.get(offset) ?? 0;
    const before = unknown;
    if (insn?.operands[0]?.kind === 'target') {
      const to = Number(insn.operands[0].gva) - program.address;
      joins.set(to, (joins.get(to) ?? 0) | unknown);
    }
    if (insn) {
      const { writes, leaves } = flagsOf(insn);
      unknown = ((unknown & ~writes) | leaves) & (ARITHMETIC_FLAGS | C1);
    }
    return { ...placed, unknown: before };
  });
  return { ...program, instructions, unknown: unknown | (joins.get(program.code.length) ?? 0) };
}

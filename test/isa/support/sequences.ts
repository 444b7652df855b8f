/**
 * Random sequences of register instructions: what one instruction alone does not show, such as flags that are kept
 * lazily, found dead, or used by a branch fused with their producer.
 */
import { decode } from '../../../emulator/cpu/decode.ts';
import type { DecodedInstruction } from '../../../emulator/cpu/decode.ts';
import { AF, ARITHMETIC_FLAGS, CF, OF, PF, SF, ZF } from '../../../emulator/cpu/semantics/operations.ts';
import type { OpcodeRow } from '../../../emulator/cpu/table/row.ts';
import type { TestCase } from './case.ts';
import { generate } from './generate.ts';
import type { Random } from './random.ts';
import { undefinedFlags } from './undefined-flags.ts';

const RSP = 4;
const FLAG: Record<string, number> = { o: OF, s: SF, z: ZF, a: AF, p: PF, c: CF };
/** Flags that each pair of conditions reads: O B E BE S P L LE. */
const CONDITION_READS = [OF, CF, ZF, CF | ZF, SF, PF, SF | OF, SF | OF | ZF];
const READS: Record<string, number> = {
  adc: CF,
  sbb: CF,
  adcx: CF,
  adox: OF,
  rcl: CF,
  rcr: CF,
  cmc: CF,
  lahf: SF | ZF | AF | PF | CF,
};
const LEFT_OUT = new Set(['div', 'idiv', 'push', 'pop', 'pushf', 'enter', 'leave', 'xlat', 'cld', 'std']);

const maskOf = (letters: string) => [...letters].reduce((mask, letter) => mask | FLAG[letter]!, 0);

interface Piece {
  readonly code: Uint8Array;
  readonly reads: number;
  readonly written: number;
  readonly undefinedAfter: number;
  readonly name: string;
}

function isSimple(instruction: DecodedInstruction): boolean {
  if (LEFT_OUT.has(instruction.op) || instruction.rep !== 'none') return false;
  return instruction.operands.every(
    (operand) => operand.kind === 'immediate' || (operand.kind === 'gpr' && (operand.high || operand.register !== RSP)),
  );
}

function piece(random: Random, rows: readonly OpcodeRow[]): Piece | undefined {
  if (random.oneIn(5)) return branch(random);
  const row = random.pick(rows);
  const test = generate(random, row, random.pick(row.sizes ?? [0]));
  const instruction = test && decode(test.code, 0, 0n, 2);
  if (!instruction || !isSimple(instruction)) return undefined;
  const { op, condition, operands } = instruction;
  // The count in CL is not known here, so it may be 0, and may be too large for anything to be defined.
  const byCount = operands.length > 1 && /^(sh|sa|ro|rc)/.test(op) && operands.at(-1)!.kind === 'gpr';
  if (byCount && op.length === 4) return undefined;
  return {
    code: test.code,
    reads: condition === undefined ? (READS[op] ?? 0) : CONDITION_READS[condition >> 1]!,
    written: byCount ? 0 : maskOf(instruction.row.writes ?? ''),
    undefinedAfter: byCount ? AF | OF | CF : undefinedFlags(instruction, test.registers.gpr),
    name: op,
  };
}

/** A conditional jump over LEA RBX, [RBX+1]. */
function branch(random: Random): Piece {
  const condition = random.below(16);
  const code = Uint8Array.from([0x70 + condition, 4, 0x48, 0x8d, 0x5b, 1]);
  return { code, reads: CONDITION_READS[condition >> 1]!, written: 0, undefinedAfter: 0, name: `j${condition}` };
}

/** A sequence that never reads a flag while it is undefined. */
export function generateSequence(random: Random, rows: readonly OpcodeRow[], length: number): TestCase {
  const first = generateFirst(random, rows);
  const code: number[] = [];
  const names: string[] = [];
  let unknown = 0;
  while (names.length < length) {
    const next = piece(random, rows);
    if (!next || next.reads & unknown) continue;
    code.push(...next.code);
    names.push(next.name);
    unknown = ((unknown & ~next.written) | next.undefinedAfter) & ARITHMETIC_FLAGS;
  }
  return { ...first, name: names.join(' '), code: Uint8Array.from(code), undefinedFlags: unknown };
}

/** Any case, for its registers. */
function generateFirst(random: Random, rows: readonly OpcodeRow[]): TestCase {
  for (;;) {
    const test = generate(random, random.pick(rows), 8);
    if (test) return test;
  }
}

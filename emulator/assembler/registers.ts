/** Register names of both syntaxes (AT&T ones without the percent sign). */

export type RegisterClass =
  'r8' | 'r16' | 'r32' | 'r64' | 'xmm' | 'ymm' | 'mmx' | 'st' | 'segment' | 'control' | 'debug' | 'ip32' | 'ip64';

export interface Register {
  readonly name: string;
  readonly class: RegisterClass;
  /** As encoded: AH CH DH BH are 4..7, like SPL BPL SIL DIL. */
  readonly number: number;
  /** AH CH DH BH: cannot stand beside a REX prefix. */
  readonly high?: boolean;
  /** SPL BPL SIL DIL: exist only with a REX prefix. */
  readonly needsRex?: boolean;
}

const LEGACY = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const LOW_BYTES = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];
const HIGH_BYTES = ['ah', 'ch', 'dh', 'bh'];
export const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;

/** Bytes of a general register of a class; 0 for other classes. */
export const GPR_BYTES: Readonly<Record<RegisterClass, 0 | 1 | 2 | 4 | 8>> = {
  ...{ r8: 1, r16: 2, r32: 4, r64: 8 },
  ...{ xmm: 0, ymm: 0, mmx: 0, st: 0, segment: 0, control: 0, debug: 0, ip32: 0, ip64: 0 },
};

function* all(): Generator<Register> {
  for (let number = 0; number < 8; number++) {
    const name = LEGACY[number]!;
    yield { name, class: 'r16', number };
    yield { name: `e${name}`, class: 'r32', number };
    yield { name: `r${name}`, class: 'r64', number };
    yield { name: LOW_BYTES[number]!, class: 'r8', number, ...(number >= 4 ? { needsRex: true } : {}) };
  }
  for (const [index, name] of HIGH_BYTES.entries()) yield { name, class: 'r8', number: index + 4, high: true };
  for (let number = 8; number < 16; number++) {
    yield { name: `r${number}`, class: 'r64', number };
    yield { name: `r${number}d`, class: 'r32', number };
    yield { name: `r${number}w`, class: 'r16', number };
    yield { name: `r${number}b`, class: 'r8', number };
  }
  for (let number = 0; number < 16; number++) {
    yield { name: `xmm${number}`, class: 'xmm', number };
    yield { name: `ymm${number}`, class: 'ymm', number };
    yield { name: `cr${number}`, class: 'control', number };
    yield { name: `dr${number}`, class: 'debug', number };
    // The assembler's older name.
    yield { name: `db${number}`, class: 'debug', number };
  }
  for (let number = 0; number < 8; number++) {
    yield { name: `mm${number}`, class: 'mmx', number };
    yield { name: `st(${number})`, class: 'st', number };
  }
  yield { name: 'st', class: 'st', number: 0 };
  for (const [number, name] of SEGMENTS.entries()) yield { name, class: 'segment', number };
  yield { name: 'rip', class: 'ip64', number: 0 };
  yield { name: 'eip', class: 'ip32', number: 0 };
}

/** By name in lower case. */
export const REGISTERS: ReadonlyMap<string, Register> = new Map(
  [...all()].map((register) => [register.name, register]),
);

/** Registers of 64-bit code alone. */
export const isOnlyWide = ({ class: kind, number: value, needsRex }: Register): boolean =>
  kind === 'r64' || kind === 'ip64' || kind === 'ip32' || needsRex === true || (value > 7 && kind !== 'st');

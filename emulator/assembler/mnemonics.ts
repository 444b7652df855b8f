/** Mnemonics of both syntaxes, made from the instruction table: each names rows, some of them with the size, condition or an immediate fixed. */
import { row, system } from '../cpu/table/build.ts';
import { table } from '../cpu/table/index.ts';
import type { OpcodeRow } from '../cpu/table/row.ts';
import { CARRYLESS, CONDITIONS, PREDICATES } from './conditions.ts';
import type { CodeBits } from './model.ts';

export type Syntax = 'att' | 'intel';

export interface Candidate {
  readonly row: OpcodeRow;
  /** The only operand size, in bytes, that this name allows. */
  readonly size?: number;
  readonly condition?: number;
  /** An immediate that the name stands for. */
  readonly immediate?: number;
  /** Bytes before the instruction (FWAIT of FINIT and its like). */
  readonly before?: number;
}

/**
 * Instructions of which the decoder's table knows less than an assembler must: hints that execute as NOP, and their operands. The processor takes
 * them all for `nop`.
 */
const HINTS: readonly OpcodeRow[] = [
  row('0F 1F /0', 'nop', 'Ev'),
  row('0F 18 /0', 'prefetchnta', 'Mb'),
  row('0F 18 /1', 'prefetcht0', 'Mb'),
  row('0F 18 /2', 'prefetcht1', 'Mb'),
  row('0F 18 /3', 'prefetcht2', 'Mb'),
  row('0F 0D /0', 'prefetch', 'Mb'),
  row('0F 0D /1', 'prefetchw', 'Mb'),
  row('0F 1E FA', 'endbr64', '', { prefix: 'F3' }),
  row('0F 1E FB', 'endbr32', '', { prefix: 'F3' }),
  row('0F B9 /r', 'ud1', 'Gv Ev'),
  row('0F FF /r', 'ud0', 'Gv Ev'),
];
/** SGDT and SIDT may be written with a size in other than 64-bit code. */
const STORED: readonly OpcodeRow[] = [
  system('0F 01 /0', 'sgdt', 'M', { sizes: [2, 4], invalid64: true }),
  system('0F 01 /1', 'sidt', 'M', { sizes: [2, 4], invalid64: true }),
];
/** Far pointers are written as two numbers: `ljmp $selector, $offset`. */
const FAR: readonly OpcodeRow[] = [
  system('9A', 'call_far', 'Iv Iw', { mnemonic: 'call', sizes: [2, 4], invalid64: true }),
  system('EA', 'jmp_far', 'Iv Iw', { mnemonic: 'jmp', sizes: [2, 4], invalid64: true }),
];
const REPLACED = new Set(['ud1', 'ud0']);
/** 82 is 80 again. */
const isReplaced = ({ op, encoding, operands }: OpcodeRow): boolean =>
  REPLACED.has(op) || operands?.[0] === 'Ap' || encoding.startsWith('82 ');

const SUFFIX: Readonly<Record<number, string>> = { 1: 'b', 2: 'w', 4: 'l', 8: 'q' };

/** Names that depend on the operand size and take no suffix; what has the mode's size may be called without one (`MODES`). */
const BY_SIZE: Readonly<Record<string, Readonly<Record<number, readonly string[]>>>> = {
  cbw: { 2: ['cbw', 'cbtw'], 4: ['cwde', 'cwtl'], 8: ['cdqe', 'cltq'] },
  cwd: { 2: ['cwd', 'cwtd'], 4: ['cdq', 'cltd'], 8: ['cqo', 'cqto'] },
  iret: { 2: ['iretw'], 4: ['iretl', 'iretd'], 8: ['iretq'] },
  sysret: { 4: ['sysret', 'sysretl'], 8: ['sysretq'] },
  sysexit: { 4: ['sysexit', 'sysexitl'], 8: ['sysexitq'] },
  cmpxchg8b: { 4: ['cmpxchg8b'], 8: ['cmpxchg16b'] },
  retf: { 2: ['lretw'], 4: ['lretl'], 8: ['lretq', 'retfq'] },
  call_far: { 2: ['lcallw'], 4: ['lcalll'], 8: ['lcallq'] },
  jmp_far: { 2: ['ljmpw'], 4: ['ljmpl'], 8: ['ljmpq'] },
  jrcxz: { 2: ['jcxz'], 4: ['jecxz'], 8: ['jrcxz'] },
  loop: { 2: ['loopw'], 4: ['loopl'], 8: ['loopq'] },
  loope: { 2: ['loopew', 'loopzw'], 4: ['loopel', 'loopzl'], 8: ['loopeq', 'loopzq'] },
  loopne: { 2: ['loopnew', 'loopnzw'], 4: ['loopnel', 'loopnzl'], 8: ['loopneq', 'loopnzq'] },
  movd_to_xmm: { 4: ['movd'], 8: ['movq', 'movd'] },
  movd_from_xmm: { 4: ['movd'], 8: ['movq', 'movd'] },
  movd_to_mmx: { 4: ['movd'], 8: ['movq', 'movd'] },
  movd_from_mmx: { 4: ['movd'], 8: ['movq', 'movd'] },
  pextrd: { 4: ['pextrd'], 8: ['pextrq'] },
  pinsrd: { 4: ['pinsrd'], 8: ['pinsrq'] },
};
/** Names without a size, of instructions whose size is that of the operands (in 64-bit code 32 bits). */
const BY_OPERAND_SIZE: Readonly<Record<string, readonly string[]>> = {
  iret: ['iret'], retf: ['lret', 'retf'], call_far: ['lcall'], jmp_far: ['ljmp'],
}; // prettier-ignore
/** The same, of instructions whose size is that of addresses. */
const BY_ADDRESS_SIZE: Readonly<Record<string, readonly string[]>> = {
  loop: ['loop'], loope: ['loope', 'loopz'], loopne: ['loopne', 'loopnz'],
}; // prettier-ignore

type Names = Readonly<Record<number, readonly string[]>>;

/** VEX forms are called like the others, with a v before. */
function namesBySize(op: string, bits: CodeBits): Names | undefined {
  const own = BY_SIZE[op];
  const plain = own ?? (op.startsWith('v') ? BY_SIZE[op.slice(1)] : undefined);
  if (!plain) return undefined;
  if (!own)
    return Object.fromEntries(Object.entries(plain).map(([size, names]) => [size, names.map((name) => `v${name}`)]));
  const operandSize = bits === 16 ? 2 : 4;
  const addressSize = bits / 8;
  const all = (size: number): readonly string[] => [
    ...(size === operandSize ? (BY_OPERAND_SIZE[op] ?? []) : []),
    ...(size === addressSize ? (BY_ADDRESS_SIZE[op] ?? []) : []),
    ...(own[size] ?? []),
  ];
  const isCounted = op === 'jrcxz' || op in BY_ADDRESS_SIZE;
  return Object.fromEntries(
    // An address of 64-bit code has 32 bits at least.
    [2, 4, 8].filter((size) => !isCounted || size > 2 || bits !== 64).map((size) => [size, all(size)]),
  );
}
const WITH_64 = /^(fxsave|fxrstor|xsave|xsaveopt|xsavec|xsaves|xrstor|xrstors)$/;

const ALIASES: Readonly<Record<string, readonly string[]>> = {
  shl: ['sal'],
  wait: ['fwait'],
  int1: ['icebp'],
  xlatb: ['xlat'],
  ud2: ['ud2a'],
  fcomip: ['fcompi'],
  fucomip: ['fucompi'],
};

/** x87 instructions that first wait for pending exceptions. */
const WAITING: Readonly<Record<string, string>> = {
  fninit: 'finit', fnclex: 'fclex', fnstcw: 'fstcw', fnstsw: 'fstsw', fnstenv: 'fstenv', fnsave: 'fsave',
}; // prettier-ignore

const EXTENSIONS: Readonly<Record<string, readonly [from: string, sizes: readonly number[]]>> = {
  movzx8: ['movzb', [2, 4, 8]],
  movzx16: ['movzw', [4, 8]],
  movsx8: ['movsb', [2, 4, 8]],
  movsx16: ['movsw', [4, 8]],
  movsxd: ['movsl', [8]],
};

/** Suffix of an x87 instruction with a memory operand in AT&T syntax; undefined for those that take none. */
function x87Suffix({ op, sizes, operands }: OpcodeRow): readonly string[] | undefined {
  if (!/^f/.test(op) || !/^M[dqtw]$/.test(operands?.[0] ?? '')) return undefined;
  const size = sizes![0]!;
  if (/^fn?(st|ld)(cw|sw)$/.test(op)) return ['', 'w'];
  if (/^fb/.test(op)) return [''];
  if (/^fi/.test(op)) return size === 2 ? ['s', ''] : size === 4 ? ['l'] : ['ll', 'q'];
  return size === 4 ? ['s'] : size === 8 ? ['l'] : ['t'];
}

/** AAM and AAD adjust to base 10 unless another is written. */
const DECIMAL = 10;

function existsIn({ only64, invalid64 }: OpcodeRow, bits: CodeBits): boolean {
  return bits === 64 ? !invalid64 : !only64;
}

/** Operand sizes of a row in a mode: 64 bits, where they are one of several, are those of 64-bit mode. */
export function sizesOf({ sizes = [0] }: OpcodeRow, bits: CodeBits): readonly number[] {
  return bits === 64 || sizes.length === 1 ? sizes : sizes.filter((size) => size !== 8);
}

/** Whether AT&T syntax may name the operand size of a row by a suffix. */
function takesSuffix({ operands = [], only64, invalid64, sizes, vex, op }: OpcodeRow, bits: CodeBits): boolean {
  if (vex && !/^(v?cvt|bextr|andn|bls|bzhi|pdep|pext|mulx|sh[lr]x|sarx|rorx)/.test(op)) return false;
  const isInteger = operands.some((code) => /^([EGZROMB][bvdqwy]|Iz|Ibs|Iv|[re]?A[XL]|[XY]|Xbx)$/.test(code));
  const isX87OrVector =
    operands.some((code) => /^(M[dqt]+|W\w*|V\w*)$/.test(code)) && !operands.some((code) => /^[EG]y$/.test(code));
  const isStack = (only64 === true && sizes!.includes(8)) || (invalid64 === true && sizes!.includes(4));
  if (/^[ls][gi]dt$/.test(op)) return bits !== 64;
  return op !== 'jcc' ? (isInteger && !isX87OrVector) || isStack : only64 === true;
}

function* attNames(row: OpcodeRow, bits: CodeBits): Generator<readonly [string, Partial<Candidate>]> {
  const base = row.mnemonic ?? row.op;
  const sizes = sizesOf(row, bits);
  const bySize = namesBySize(row.op, bits);
  const extension = EXTENSIONS[row.op];
  const float = x87Suffix(row);
  if (bySize) {
    for (const size of sizes) for (const name of bySize[size] ?? []) yield [name, { size }];
    return;
  }
  if (float) {
    for (const suffix of float) yield [base + suffix, {}];
    return;
  }
  if (extension)
    for (const size of extension[1]) if (bits === 64 || size < 8) yield [extension[0] + SUFFIX[size]!, { size }];
  if (extension) {
    if (row.op !== 'movsxd') yield [extension[0], {}];
    return yield [base, {}] as const;
  }
  if (row.op === 'crc32b')
    return yield* [
      ['crc32b', {}],
      ['crc32', {}],
    ] as const;
  if (WITH_64.test(base))
    return yield* [[base, { size: 4 }], ...(bits === 64 ? ([[`${base}64`, { size: 8 }]] as const) : [])] as const;
  // Immediates of 64 bits are `movabs` as well, 64-bit addresses nothing else.
  if (bits === 64 && base === 'mov' && row.operands!.some((code) => /^(Iv|O[bv])$/.test(code))) {
    for (const size of row.op === 'mov' && row.operands!.includes('Iv') ? [8] : sizes) {
      yield ['movabs', { size }];
      yield [`movabs${SUFFIX[size]!}`, { size }];
    }
    if (isMoffs(row)) return;
  }
  yield [base, {}];
  // A selector is moved alike whatever the register's width.
  if (row.op === 'mov_to_segment')
    return yield* [['movw', {}], ['movl', {}], ...(bits === 64 ? ([['movq', {}]] as const) : [])] as const;
  if (takesSuffix(row, bits)) for (const size of sizes) if (SUFFIX[size]) yield [base + SUFFIX[size], { size }];
}

function* intelNames(row: OpcodeRow, bits: CodeBits): Generator<readonly [string, Partial<Candidate>]> {
  const base = row.mnemonic ?? row.op;
  const bySize = namesBySize(row.op, bits);
  const sizes = sizesOf(row, bits);
  if (bySize) {
    for (const size of sizes) for (const name of bySize[size] ?? []) yield [name, { size }];
    return;
  }
  if (row.op === 'crc32b') return yield ['crc32', {}] as const;
  if (WITH_64.test(base))
    return yield* [[base, { size: 4 }], ...(bits === 64 ? ([[`${base}64`, { size: 8 }]] as const) : [])] as const;
  if (bits === 64 && base === 'mov' && row.operands!.includes('Iv')) yield ['movabs', { size: 8 }];
  if (bits === 64 && isMoffs(row)) return yield ['movabs', {}] as const;
  yield [base, {}];
  if (row.op === 'movsxd') yield ['movsx', {}];
  if (row.operands?.some((code) => code === 'X' || code === 'Y'))
    for (const size of sizes) yield [base + (size === 4 ? 'd' : SUFFIX[size]!), { size }];
  if (row.operands?.length === 0 && row.only64 && sizes.includes(8)) yield [`${base}q`, { size: 8 }];
}

function isMoffs({ operands }: OpcodeRow): boolean {
  return operands!.some((code) => code.startsWith('O'));
}

function addAll(names: Map<string, Candidate[]>, syntax: Syntax, bits: CodeBits): void {
  const add = (name: string, candidate: Candidate): void => {
    const list = names.get(name);
    if (!list) names.set(name, [candidate]);
    else list.push(candidate);
  };
  const withVariants = (name: string, candidate: Candidate): void => {
    add(name, candidate);
    const { row } = candidate;
    const base = row.mnemonic ?? row.op;
    const [stem, rest] = [base, name.slice(base.length)];
    if (name.startsWith(base)) for (const alias of ALIASES[stem] ?? []) add(alias + rest, candidate);
    const waiting = WAITING[base];
    if (/^aa[md]$/.test(base)) add(name, { ...candidate, immediate: DECIMAL });
    if (waiting && name.startsWith(base)) add(waiting + rest, { ...candidate, before: 0x9b });
    const compare = /^(v?)cmp([ps][sd])$/.exec(base);
    if (compare && name === base && row.operands!.includes('Ib'))
      PREDICATES.slice(0, compare[1] ? 32 : 8).forEach((aliases, immediate) => {
        for (const alias of aliases)
          if (compare[1] || !alias.includes('_'))
            add(`${compare[1]}cmp${alias}${compare[2]}`, { ...candidate, immediate });
      });
    if (/^v?pclmulqdq$/.test(base))
      for (const [alias, immediate] of CARRYLESS)
        add(`${base.replace('qdq', '')}${alias}dq`, { ...candidate, immediate });
  };
  for (const row of [...HINTS, ...FAR, ...table, ...STORED]) {
    if (row.encoding === '' || !existsIn(row, bits) || (isReplaced(row) && !HINTS.includes(row))) continue;
    if (row.op === 'nop' && row.encoding.startsWith('0F') && !HINTS.includes(row)) continue;
    const names = syntax === 'att' ? attNames(row, bits) : intelNames(row, bits);
    for (const [name, rest] of names) {
      if (!row.encoding.includes('+cc')) withVariants(name, { row, ...rest });
      else
        CONDITIONS.forEach((conditions, condition) => {
          for (const cc of conditions) add(name.replace('cc', cc), { row, condition, ...rest });
        });
    }
  }
}

const tables = new Map<string, ReadonlyMap<string, readonly Candidate[]>>();

/** Candidates of a mnemonic in lower case. Intel syntax takes the names of AT&T syntax as well. */
export function candidatesOf(name: string, syntax: Syntax, bits: CodeBits = 64): readonly Candidate[] | undefined {
  return mnemonics(syntax, bits).get(name) ?? (syntax === 'intel' ? mnemonics('att', bits).get(name) : undefined);
}

/** Candidates by mnemonic in lower case. */
export function mnemonics(syntax: Syntax, bits: CodeBits = 64): ReadonlyMap<string, readonly Candidate[]> {
  const key = `${syntax}${bits}`;
  let known = tables.get(key);
  if (!known) {
    const names = new Map<string, Candidate[]>();
    addAll(names, syntax, bits);
    tables.set(key, (known = names));
  }
  return known;
}

/** Every name of both syntaxes and all modes, with its candidates where it exists: 64-bit code first. */
export function allMnemonics(): ReadonlyMap<string, readonly Candidate[]> {
  const all = new Map<string, readonly Candidate[]>();
  for (const bits of [16, 32, 64] as const)
    for (const syntax of ['att', 'intel'] as const)
      for (const [name, candidates] of mnemonics(syntax, bits)) all.set(name, candidates);
  return all;
}

/** Mnemonics that are prefixes of the instruction after them. */
export const PREFIXES: Readonly<Record<string, number>> = {
  rep: 0xf3, repe: 0xf3, repz: 0xf3, repne: 0xf2, repnz: 0xf2, lock: 0xf0,
  data16: 0x66, data32: 0x66, addr16: 0x67, addr32: 0x67, bnd: 0xf2, notrack: 0x3e, xacquire: 0xf2, xrelease: 0xf3,
  es: 0x26, cs: 0x2e, ss: 0x36, ds: 0x3e, fs: 0x64, gs: 0x65,
  rex: 0x40, 'rex.b': 0x41, 'rex.x': 0x42, 'rex.xb': 0x43, 'rex.r': 0x44, 'rex.w': 0x48, rex64: 0x48,
}; // prettier-ignore

/** Lines of assembly: every mnemonic with random operands that its rows take. */
import type { OpcodeRow } from '../cpu/table/row.ts';
import type { Candidate } from './mnemonics.ts';
import { sizesOf } from './mnemonics.ts';
import type { CodeBits } from './model.ts';

const BYTES = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh', 'spl', 'bpl', 'sil', 'dil', 'r8b', 'r15b'];
const GPRS: Readonly<Record<number, readonly string[]>> = {
  1: BYTES,
  2: ['ax', 'cx', 'sp', 'di', 'r8w', 'r15w'],
  4: ['eax', 'ecx', 'esp', 'edi', 'r8d', 'r15d'],
  8: ['rax', 'rcx', 'rsp', 'rdi', 'r8', 'r15'],
};
const MEMORY = [
  ...[
    '(%rax)',
    '(%rsp)',
    '(%rbp)',
    '(%r12)',
    '(%r13)',
    '8(%rbx)',
    '-128(%rcx)',
    '128(%rdx)',
    '0x12345(%r9)',
    '(%rax,%rcx)',
  ],
  ...[
    '-8(%rax,%r12,8)',
    '16(,%rbx,4)',
    '0x1234',
    'x(%rip)',
    '8(%rip)',
    '%fs:0x10',
    '%gs:(%rsi)',
    '(%eax)',
    '4(%r8d,%ecx,2)',
  ],
];
/** Operands of 16- and 32-bit code. */
const MEMORY_32 = [
  ...['(%eax)', '(%esp)', '(%ebp)', '8(%ebx)', '-128(%ecx)', '128(%edx)', '0x12345(%edi)', '(%eax,%ecx)'],
  ...['-8(%eax,%ebp,8)', '16(,%ebx,4)', '(%ebp,%esi)', 'x(%eax)', 'x+4', '0x1234', '%fs:0x10', '%gs:(%esi)'],
];
const MEMORY_16 = [
  ...['(%bx)', '(%bp)', '(%si)', '(%di)', '8(%bx,%si)', '-128(%bp,%di)', '128(%bp)', '0x1234(%bx,%di)', 'x(%bp,%si)'],
  ...['%ss:(%bx)', '%ds:(%bp)', '%es:(%di)'],
];
const MEMORIES: Readonly<Record<CodeBits, readonly string[]>> = {
  16: [...MEMORY_16, ...MEMORY_32],
  32: [...MEMORY_32, ...MEMORY_16],
  64: MEMORY,
};
const GATHERED: Readonly<Record<CodeBits, readonly string[]>> = {
  16: ['(%eax,%xmm4,2)', '(%esp,%ymm2)', '0x40(,%ymm1,4)'],
  32: ['(%eax,%xmm4,2)', '(%esp,%ymm2)', '0x40(,%ymm1,4)'],
  64: ['(%rax,%xmm4,2)', '8(%r13,%xmm12,8)', '(%rsp,%ymm2)', '0x40(,%ymm9,4)'],
};
const ACCUMULATOR: Readonly<Record<number, string>> = { 1: 'al', 2: 'ax', 4: 'eax', 8: 'rax' };
const WIDTHS: Readonly<Record<string, number>> = { b: 1, w: 2, d: 4, q: 8 };
const FIXED: Readonly<Record<string, readonly string[]>> = {
  Sw: ['%ds', '%fs'],
  Cy: ['%cr0', '%cr8'],
  Dy: ['%db7', '%db1'],
  st0: ['%st'],
  sti: ['%st(3)'],
  AL: ['%al'],
  AX: ['%ax'],
  CL: ['%cl'],
  DX: ['%dx'],
  '1': ['$1'],
  xmm0: ['%xmm0'],
  Ib: ['$5', '$255'],
  Ibs: ['$-1', '$100', '$1'],
  Iw: ['$8', '$0x1234'],
};
const IMPLICIT = new Set(['X', 'Y', 'Xbx', 'Xdi', 'Kx', 'Kqq']);

/** Operands that an operand code can stand for. */
function operandsOf(code: string, size: number, bits: CodeBits): readonly string[] {
  const memory = MEMORIES[bits];
  if (bits !== 64 && code === 'Cy') return ['%cr0', '%cr4'];
  const fixed = FIXED[code];
  if (fixed) return fixed;
  if (/^[ECSDFG]S$/.test(code)) return [`%${code.toLowerCase()}`];
  if (code === 'rAX' || code === 'eAX') return [`%${ACCUMULATOR[size]}`];
  const letter = code[1] ?? '';
  const width = letter === 'v' || letter === 'y' ? size : letter === 'z' ? Math.min(4, size) : (WIDTHS[letter] ?? 8);
  const registers = (): string[] =>
    (GPRS[width] ?? []).filter((name) => bits === 64 || !/^r|^[sd]il$|^[sb]pl$/.test(name)).map((name) => `%${name}`);
  switch (code[0]) {
    case 'E':
      return [...registers(), ...memory];
    case 'G':
    case 'Z':
    case 'B':
    case 'R':
      return registers();
    case 'M':
      return code === 'Mx' ? GATHERED[bits] : memory;
    case 'O':
      return bits === 64 ? ['0x123456789abcdef0'] : ['0x1234', 'x', '%es:x'];
    case 'W':
      return [...memory, ...vectors(code, 3, bits === 64 ? 11 : 6)];
    case 'V':
    case 'U':
    case 'H':
    case 'L':
      return vectors(code, 1, bits === 64 ? 9 : 7);
    case 'P':
    case 'N':
      return ['%mm1', '%mm7'];
    case 'Q':
      return ['%mm2', ...memory];
    case 'I':
      if (code === 'Iz') return ['$0x1234', '$-300', '$1', ...(size === 2 ? [] : ['$x'])];
      return size === 8 ? ['$0x123456789a', '$-1', '$1000'] : ['$-1', '$1000'];
    default:
      return [];
  }
}

function vectors(code: string, ...numbers: readonly number[]): string[] {
  return numbers.map((number) => `%${code.endsWith('qq') ? 'ymm' : 'xmm'}${number}`);
}

/** A few lines for each mnemonic and row; jumps are left out, since their size is the layout's. */
export function randomLines(
  seed: number,
  names: ReadonlyMap<string, readonly Candidate[]>,
  bits: CodeBits = 64,
  each = 6,
): string[] {
  let state = seed >>> 0;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const lines = new Set<string>();
  for (const [name, candidates] of names)
    for (const { row, size: only, immediate } of candidates) {
      const codes = (row.operands ?? []).filter(
        (code) => !IMPLICIT.has(code) && !(immediate !== undefined && code === 'Ib'),
      );
      if (codes.some((code) => code.startsWith('J'))) continue;
      for (const size of sizesOf(row, bits)) {
        if (only !== undefined && only !== size) continue;
        const choices = codes.map((code) => operandsOf(code, size, bits));
        if (choices.some((list) => list.length === 0)) continue;
        for (let i = 0; i < (codes.length === 0 ? 1 : each); i++) {
          const operands = choices.map((list) => list[below(list.length)]!);
          lines.add(`${name} ${star(row, codes)}${(row.op === 'enter' ? operands : operands.reverse()).join(', ')}`);
        }
      }
    }
  return [...lines];
}

function star({ op }: OpcodeRow, codes: readonly string[]): string {
  return /^(call|jmp)_/.test(op) && codes[0] !== 'Iv' ? '*' : '';
}

/** DWARF numbers of registers (AMD64 supplement of the System V ABI, figure 3.36). */
const FIRST = ['rax', 'rdx', 'rcx', 'rbx', 'rsi', 'rdi', 'rbp', 'rsp'];

export const DWARF_REGISTERS: ReadonlyMap<string, number> = new Map([
  ...FIRST.map((name, number) => [name, number] as const),
  ...Array.from({ length: 8 }, (_, index) => [`r${index + 8}`, index + 8] as const),
  ['rip', 16],
  ...Array.from({ length: 16 }, (_, index) => [`xmm${index}`, index + 17] as const),
  ...Array.from({ length: 8 }, (_, index) => [`st(${index})`, index + 33] as const),
  ['st', 33],
  ...Array.from({ length: 8 }, (_, index) => [`mm${index}`, index + 41] as const),
  ...['rflags', 'es', 'cs', 'ss', 'ds', 'fs', 'gs'].map((name, index) => [name, index + 49] as const),
  ...[['fs.base', 58], ['gs.base', 59], ['tr', 62], ['ldtr', 63], ['mxcsr', 64], ['fcw', 65], ['fsw', 66]] as const,
]); // prettier-ignore

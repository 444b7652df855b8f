/** DWARF register numbers of x86-64 (System V ABI, figure 3.36). */
export const enum DwarfRegister {
  Rax = 0,
  Rdx = 1,
  Rcx = 2,
  Rbx = 3,
  Rsi = 4,
  Rdi = 5,
  Rbp = 6,
  Rsp = 7,
  ReturnAddress = 16,
  Xmm0 = 17,
  St0 = 33,
}
/** Registers 0..16 have unwind rules; the others are as the thread has them. */
export const UNWOUND_REGISTERS = 17;

const NAMES: readonly (string | undefined)[] = [
  ...[
    'rax',
    'rdx',
    'rcx',
    'rbx',
    'rsi',
    'rdi',
    'rbp',
    'rsp',
    'r8',
    'r9',
    'r10',
    'r11',
    'r12',
    'r13',
    'r14',
    'r15',
    'rip',
  ],
  ...Array.from({ length: 16 }, (_, index) => `xmm${index}`),
  ...Array.from({ length: 8 }, (_, index) => `st${index}`),
  ...Array.from({ length: 8 }, (_, index) => `mm${index}`),
  ...['rflags', 'es', 'cs', 'ss', 'ds', 'fs', 'gs', undefined, undefined, 'fs_base', 'gs_base'],
];

/** The machine's name of a DWARF register. */
export function registerName(dwarfRegister: number): string | undefined {
  return NAMES[dwarfRegister];
}
export function registerNumber(name: string): number | undefined {
  const index = NAMES.indexOf(name);
  return index < 0 ? undefined : index;
}

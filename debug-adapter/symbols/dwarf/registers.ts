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

/** i386's numbers (System V ABI, Intel386 supplement, table 2.14) as those above, which everything else uses: general registers, EIP, flags, x87, XMM, MMX, segments. */
const OF_I386: readonly number[] = [
  ...[0, 2, 1, 3, 7, 6, 4, 5, 16, 49],
  ...[-1, 33, 34, 35, 36, 37, 38, 39, 40],
  ...[-1, -1, 17, 18, 19, 20, 21, 22, 23, 24, 41, 42, 43, 44, 45, 46, 47, 48],
  ...[-1, -1, -1, 50, 51, 52, 53, 54, 55],
];
/** The return address of i386: code of 32 bits by its call frame information. */
export const I386_RETURN_ADDRESS = 8;

/** Of a register of code with addresses of 4 bytes; -1 if it has no number here. */
export function ofI386(number: number): number {
  return OF_I386[number] ?? -1;
}

/** The machine's name of a DWARF register. */
export function registerName(dwarfRegister: number): string | undefined {
  return NAMES[dwarfRegister];
}
export function registerNumber(name: string): number | undefined {
  const index = NAMES.indexOf(name);
  return index < 0 ? undefined : index;
}

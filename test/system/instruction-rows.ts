/**
 * Which faults system instructions raise, as rows: what the SDM's pages say of each under "Exceptions". `{a}` and the like stand for registers of the
 * mode's width: RAX or EAX.
 */

/** What decides. */
export interface Environment {
  readonly cpl: number;
  readonly iopl: number;
  /** 64-bit mode; else compatibility mode with 32-bit code. */
  readonly wide: boolean;
  /** Bits of CR4. */
  readonly tsd: boolean;
  readonly de: boolean;
  readonly umip: boolean;
  readonly fsgsbase: boolean;
  readonly osxsave: boolean;
  readonly pke: boolean;
}

/** Vector and error code; undefined: none. */
export type Fault = readonly [vector: number, errorCode: number] | undefined;
export const UD: Fault = [6, 0];
export const GP: Fault = [13, 0];
export const OK: Fault = undefined;

export interface InstructionRow {
  readonly code: string;
  /** Of SDM volume 2. */
  readonly section: string;
  readonly fault: (e: Environment) => Fault;
}

const row = (section: string, code: string, fault: (e: Environment) => Fault): InstructionRow => ({
  code,
  section,
  fault,
});

/** #GP(0) unless CPL is 0. */
const privileged = (e: Environment): Fault => (e.cpl === 0 ? OK : GP);
/** #GP(0) above IOPL. */
const byIopl = (e: Environment): Fault => (e.cpl <= e.iopl ? OK : GP);
/** #GP(0) outside ring 0 with CR4.UMIP. */
const byUmip = (e: Environment): Fault => (e.umip && e.cpl > 0 ? GP : OK);
/** #GP(0) outside ring 0 with CR4.TSD. */
const byTsd = (e: Environment): Fault => (e.tsd && e.cpl > 0 ? GP : OK);
const onlyWide =
  (fault: (e: Environment) => Fault) =>
  (e: Environment): Fault =>
    e.wide ? fault(e) : UD;
const fsgsbase = onlyWide((e) => (e.fsgsbase ? OK : UD));

/** RBX points to a table register's image of the GDT, RSI to one of the IDT, RDI to free memory. */
export const INSTRUCTION_ROWS: readonly InstructionRow[] = [
  row('2A CLI', 'cli', byIopl),
  row('2B STI', 'sti', byIopl),
  row('2A IN', 'in al, 0x80', byIopl),
  row('2A IN', 'in eax, dx', byIopl),
  row('2A INS', 'insb', byIopl),
  row('2B OUT', 'out 0x80, ax', byIopl),
  row('2B OUT', 'out dx, al', byIopl),
  row('2B OUTS', 'outsd', byIopl),
  row('2A HLT', 'hlt', privileged),
  row('2B SYSEXIT', '.byte 0x0f, 0x35', () => GP),
  row('2C XSAVES', 'xor eax, eax\n xor edx, edx\n .byte 0x0f, 0xc7, 0x2f', (e) => (e.osxsave ? privileged(e) : UD)),
  row('2C XRSTORS', 'xor eax, eax\n xor edx, edx\n .byte 0x0f, 0xc7, 0x5f, 0x40', (e) => (e.osxsave ? GP : UD)),
  row('2A CLTS', 'clts', privileged),
  row('2A INVD', 'invd', privileged),
  row('2B WBINVD', 'wbinvd', privileged),
  row('2A INVLPG', 'invlpg [{d}]', privileged),
  row('2A LGDT', 'lgdt [{b}]', privileged),
  row('2A LIDT', 'lidt [{s}]', privileged),
  row('2A LLDT', 'xor eax, eax\n lldt ax', privileged),
  row('2A LTR', 'mov eax, 0x38\n ltr ax', privileged),
  row('2A LMSW', 'mov eax, 0x3b\n lmsw ax', privileged),
  row('2B RDMSR', 'mov ecx, 0x10\n rdmsr', privileged),
  row('2B WRMSR', 'mov ecx, 0x10\n xor eax, eax\n xor edx, edx\n wrmsr', privileged),
  row('2B RDPMC', 'xor ecx, ecx\n rdpmc', () => GP),
  row('2B SGDT', 'sgdt [{d}]', byUmip),
  row('2B SIDT', 'sidt [{d}]', byUmip),
  row('2B SLDT', 'sldt [{d}]', byUmip),
  row('2B SLDT', 'sldt eax', byUmip),
  row('2B STR', 'str eax', byUmip),
  row('2B SMSW', 'smsw eax', byUmip),
  row('2B SMSW', 'smsw [{d}]', byUmip),
  row('2B RDTSC', 'rdtsc', byTsd),
  row('2B RDTSCP', 'rdtscp', byTsd),
  row('2B SWAPGS', '.byte 0x0f, 0x01, 0xf8', onlyWide(privileged)),
  row('2B RDFSBASE', '.byte 0xf3, 0x0f, 0xae, 0xc0', fsgsbase),
  row('2B RDGSBASE', '.byte 0xf3, 0x0f, 0xae, 0xc8', fsgsbase),
  row('2B WRFSBASE', '.byte 0xf3, 0x0f, 0xae, 0xd7', fsgsbase),
  row('2B WRGSBASE', '.byte 0xf3, 0x0f, 0xae, 0xdf', fsgsbase),
  row('2A CLAC', 'clac', (e) => (e.cpl === 0 ? OK : UD)),
  row('2B STAC', 'stac', (e) => (e.cpl === 0 ? OK : UD)),
  row('2B MONITOR', 'mov {a}, {d}\n xor ecx, ecx\n monitor', (e) => (e.cpl === 0 ? OK : UD)),
  row('2B MONITOR', 'mov {a}, {d}\n mov ecx, 1\n monitor', (e) => (e.cpl === 0 ? GP : UD)),
  row('2B MWAIT', 'xor ecx, ecx\n mwait', (e) => (e.cpl === 0 ? OK : UD)),
  row('2B MWAIT', 'mov ecx, 2\n mwait', (e) => (e.cpl === 0 ? GP : UD)),
  row('2B RDPKRU', 'xor ecx, ecx\n rdpkru', (e) => (e.pke ? OK : UD)),
  row('2B RDPKRU', 'mov ecx, 1\n rdpkru', (e) => (e.pke ? GP : UD)),
  row('2B WRPKRU', 'xor ecx, ecx\n xor edx, edx\n xor eax, eax\n wrpkru', (e) => (e.pke ? OK : UD)),
  row('2B WRPKRU', 'xor ecx, ecx\n mov edx, 1\n wrpkru', (e) => (e.pke ? GP : UD)),
  row('2B XGETBV', 'xor ecx, ecx\n xgetbv', (e) => (e.osxsave ? OK : UD)),
  row('2B XGETBV', 'mov ecx, 2\n xgetbv', (e) => (e.osxsave ? GP : UD)),
  row('2B XSETBV', 'xor ecx, ecx\n xor edx, edx\n mov eax, 3\n xsetbv', (e) => (e.osxsave ? privileged(e) : UD)),
  row('2B XSETBV', 'xor ecx, ecx\n xor edx, edx\n mov eax, 2\n xsetbv', (e) => (e.osxsave ? GP : UD)),
  row('2B XSETBV', 'mov ecx, 1\n xor edx, edx\n mov eax, 3\n xsetbv', (e) => (e.osxsave ? GP : UD)),
  row('2B MOV to/from CR', '.byte 0x0f, 0x20, 0xc0', privileged),
  row('2B MOV to/from CR', '.byte 0x0f, 0x20, 0xd0', privileged),
  row('2B MOV to/from CR', '.byte 0x0f, 0x20, 0xd8', privileged),
  row('2B MOV to/from CR', '.byte 0x0f, 0x20, 0xe0', privileged),
  row('2B MOV to/from CR', '.byte 0x0f, 0x22, 0xd0', privileged),
  row('2B MOV to/from CR', '.byte 0x0f, 0x20, 0xc8', () => UD),
  row('2B MOV to/from CR', '.byte 0x0f, 0x22, 0xe8', () => UD),
  row('2B MOV to/from DR', '.byte 0x0f, 0x21, 0xc0', privileged),
  row('2B MOV to/from DR', '.byte 0x0f, 0x21, 0xf8', privileged),
  row('2B MOV to/from DR', 'xor eax, eax\n .byte 0x0f, 0x23, 0xc8', privileged),
  row('2B MOV to/from DR', '.byte 0x0f, 0x21, 0xe0', (e) => (e.de ? UD : privileged(e))),
  row('2B MOV to/from DR', '.byte 0x0f, 0x21, 0xe8', (e) => (e.de ? UD : privileged(e))),
  row('2A INVPCID', 'xor eax, eax\n .byte 0x66, 0x0f, 0x38, 0x82, 0x07', privileged),
  row('2A INVPCID', 'mov eax, 3\n .byte 0x66, 0x0f, 0x38, 0x82, 0x07', privileged),
  row('2A INVPCID', 'mov eax, 4\n .byte 0x66, 0x0f, 0x38, 0x82, 0x07', () => GP),
  row('2B SYSRET', 'mov ecx, -1\n shl {c}, 20\n .byte 0x48, 0x0f, 0x07', (e) => (e.wide ? GP : UD)),
  row('2A RSM', 'rsm', () => UD),
  row('2B UD', 'ud2', () => UD),
  row('3C VMCALL', 'vmcall', () => UD),
  row('3C VMLAUNCH', 'vmlaunch', () => UD),
  row('3C VMXOFF', 'vmxoff', () => UD),
];

/** A 64-bit value in a register or MSR of ring 0 in 64-bit mode. */
export interface ValueRow {
  readonly code: string;
  readonly section: string;
  readonly value: bigint;
  readonly fault: Fault;
}

const CR0 = 0x8005_0033n;
/** PAE PGE OSFXSR OSXMMEXCPT. */
const CR4 = 0x06a0n;
const EFER = 0xd01n;

function values(section: string, code: string, good: readonly bigint[], bad: readonly bigint[]): ValueRow[] {
  return [
    ...good.map((value) => ({ section, code, value, fault: OK })),
    ...bad.map((value) => ({ section, code, value, fault: GP })),
  ];
}
const msr = (number: number, good: readonly bigint[], bad: readonly bigint[]): ValueRow[] =>
  values('2B WRMSR; 4', `mov ecx, ${number}\n mov rdx, rax\n shr rdx, 32\n wrmsr`, good, bad);
const bit = (n: number): bigint => 1n << BigInt(n);
const range = (from: number, to: number): bigint[] => Array.from({ length: to - from + 1 }, (_, n) => bit(from + n));
/** Of 57-bit addresses: registers take them whatever CR4.LA57. */
const NOT_CANONICAL = [bit(56), bit(63), 0xfe00_0000_0000_0000n, 0x0100_0000_0000_0000n];
const CANONICAL = [0n, bit(55), 0xff00_0000_0000_0000n, 0xffff_8000_0000_0000n, 0x0000_8000_0000_0000n];

/** RAX holds the value; MAXPHYADDR is 36. */
export const VALUE_ROWS: readonly ValueRow[] = [
  ...values(
    '3A 2.5',
    'mov cr0, rax',
    [CR0, CR0 | 8n, CR0 & ~bit(16), CR0 | bit(30), CR0 | bit(30) | bit(29), CR0 | bit(6)],
    [],
  ),
  ...values(
    '3A 2.5',
    'mov cr0, rax',
    [],
    [CR0 & ~1n, CR0 & ~bit(31), CR0 | bit(29), ...range(32, 63).map((one) => CR0 | one)],
  ),
  ...values(
    '3A 2.5',
    'mov cr4, rax',
    [CR4, CR4 | 4n, CR4 | 8n, CR4 & ~0x80n, CR4 | bit(11), CR4 | bit(16), CR4 | bit(20)],
    [],
  ),
  ...values('3A 2.5', 'mov cr4, rax', [CR4 | bit(17), CR4 | bit(21), CR4 | bit(22), CR4 | bit(18), CR4 | bit(13)], []),
  ...values(
    '3A 2.5',
    'mov cr4, rax',
    [],
    [CR4 & ~0x20n, CR4 | bit(12), CR4 | bit(15), CR4 | bit(19), ...range(25, 63).map((one) => CR4 | one)],
  ),
  ...values(
    '3A 2.5',
    'mov cr3, rax',
    [0xf00000n, 0xf00018n, 0xf00fffn],
    [...range(36, 63).map((one) => 0xf00000n | one)],
  ),
  ...values('3A 11.8.6', 'mov cr8, rax', [0n, 15n], [16n, bit(63)]),
  ...values('3B 18.2', 'mov dr0, rax', [0n, bit(63), 0xffff_ffff_ffff_ffffn], []),
  ...values('3B 18.2', 'mov dr6, rax', [0n, 0xffff_ffffn], range(32, 63)),
  ...values('3B 18.2', 'mov dr7, rax', [0n, 0x400n, 0xffff_0000n], range(32, 63)),
  ...values('3B 18.2', 'mov dr4, rax', [0n], [bit(32)]),
  ...values('2B WRFSBASE', 'wrfsbase rax', CANONICAL, NOT_CANONICAL),
  ...values('2B WRGSBASE', 'wrgsbase rax', CANONICAL, NOT_CANONICAL),
  ...msr(
    0xc0000080,
    [EFER, EFER & ~1n, EFER & ~0x800n, EFER & ~0x400n],
    [EFER & ~0x100n, ...[1, 2, 3, 9, 12, 16, 32, 63].map((n) => EFER | bit(n))],
  ),
  ...msr(0xc0000081, [0n, 0xffff_ffff_ffff_ffffn], []),
  ...[0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102, 0x175, 0x176].flatMap((number) =>
    msr(number, CANONICAL, NOT_CANONICAL),
  ),
  ...msr(0xc0000084, [0n, 0xffff_ffffn], [bit(32), bit(63)]),
  ...msr(0xc0000103, [0n, 0xffff_ffffn], [bit(32)]),
  ...msr(0x277, [0x0007_0406_0007_0406n, 0x0606_0606_0606_0606n], [2n, 3n, 8n, 0x0200_0000_0000_0000n, bit(63)]),
  ...msr(0x1d9, [0n, 2n], [bit(16), bit(63)]),
  ...msr(0x17, [], [0n]),
  ...msr(0x12345, [], [0n]),
  ...msr(0x480, [], [0n]),
  ...values(
    '2B RDMSR',
    'mov ecx, eax\n rdmsr',
    [0x10n, 0x1bn, 0x277n, 0xc000_0080n],
    [0x12345n, 0xc000_0200n, 0xffff_ffffn],
  ),
  ...values('2B SWAPGS', 'mov rbx, rax\n swapgs', [0n], []),
  ...values('2B SYSRET', 'mov rcx, rax\n mov r11d, 2\n sysretq', [], [bit(47), bit(56), bit(63)]),
  // INVPCID: RAX is the PCID of the descriptor at RDI, then its type is given.
  ...values('2A INVPCID', 'mov [rdi], rax\n mov eax, 1\n invpcid rax, [rdi]', [0n], [1n, 0xfffn, bit(12), bit(63)]),
  ...values('2A INVPCID', 'mov [rdi], rax\n mov eax, 3\n invpcid rax, [rdi]', [0n, 0xfffn], [bit(12), bit(63)]),
  ...values('2A INVPCID', 'mov [rdi + 8], rax\n xor eax, eax\n invpcid rax, [rdi]', CANONICAL, NOT_CANONICAL),
  ...values('2A INVLPG', 'invlpg [rax]', [...CANONICAL, ...NOT_CANONICAL], []),
  ...values('2A LGDT', 'mov word ptr [rdi], 0x7f\n mov [rdi + 2], rax\n lgdt [rdi]', CANONICAL, NOT_CANONICAL),
  ...values(
    '2A IRET',
    'mov rbx, rsp\n push 0x18\n push rbx\n push 2\n push 0x10\n push rax\n iretq',
    [],
    [bit(47), bit(63)],
  ),
];

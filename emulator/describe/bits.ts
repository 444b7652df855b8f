/** What every bit of the architectural registers is called and means: read by the register view, hovers, validation and documents. */
import { MEMORY_TYPES, PAT_TYPES } from '../mmu/memory-types.ts';

export interface BitField {
  readonly name: string;
  readonly hi: number;
  readonly lo: number;
  readonly meaning: string;
  /** Names of the values of a field wider than a bit. */
  readonly values?: Readonly<Record<number, string>>;
}

/** A named field with its value in a register. */
export interface DescribedField {
  readonly name: string;
  readonly value: bigint;
  readonly meaning: string;
  readonly hi: number;
  readonly lo: number;
}

const bit = (name: string, position: number, meaning: string): BitField => ({
  name,
  hi: position,
  lo: position,
  meaning,
});
const field = (
  name: string,
  hi: number,
  lo: number,
  meaning: string,
  values?: Readonly<Record<number, string>>,
): BitField => ({
  name,
  hi,
  lo,
  meaning,
  ...(values ? { values } : {}),
});

/** SDM 1 figure 3-8. */
const rflags: readonly BitField[] = [
  bit('CF', 0, 'carry out of, or borrow into, the most significant bit'),
  bit('PF', 2, 'low byte of the result has an even number of ones'),
  bit('AF', 4, 'carry out of, or borrow into, bit 3'),
  bit('ZF', 6, 'result is zero'),
  bit('SF', 7, 'most significant bit of the result'),
  bit('TF', 8, 'single step: #DB after the next instruction'),
  bit('IF', 9, 'maskable interrupts are accepted'),
  bit('DF', 10, 'string instructions go downwards'),
  bit('OF', 11, 'signed overflow'),
  field('IOPL', 13, 12, 'lowest privilege that may use I/O and change IF'),
  bit('NT', 14, 'this task is nested in another'),
  bit('RF', 16, 'instruction breakpoints are not reported for the next instruction'),
  bit('VM', 17, 'virtual-8086 mode'),
  bit('AC', 18, 'alignment checks at CPL 3 (with CR0.AM); lifts SMAP in ring 0'),
  bit('VIF', 19, 'virtual image of IF'),
  bit('VIP', 20, 'a virtual interrupt is pending'),
  bit('ID', 21, 'software can toggle it: CPUID exists'),
];

/** SDM 3A 2.5. */
const cr0: readonly BitField[] = [
  bit('PE', 0, 'protected mode'),
  bit('MP', 1, 'WAIT heeds TS'),
  bit('EM', 2, 'no x87 unit: x87 instructions raise #NM, SSE #UD'),
  bit('TS', 3, 'task switched: the next x87 or SSE instruction raises #NM'),
  bit('ET', 4, 'always 1'),
  bit('NE', 5, 'x87 errors raise #MF'),
  bit('WP', 16, 'ring 0 may not write read-only pages'),
  bit('AM', 18, 'RFLAGS.AC enables alignment checks'),
  bit('NW', 29, 'not write-through'),
  bit('CD', 30, 'caches disabled'),
  bit('PG', 31, 'paging'),
];

const cr3: readonly BitField[] = [
  field('PCID', 11, 0, 'process-context identifier (with CR4.PCIDE; else bit 3 PWT, bit 4 PCD)'),
  field('PML4', 51, 12, 'page number of the root page table'),
];

/** SDM 3A 2.5. */
const cr4: readonly BitField[] = [
  bit('VME', 0, 'virtual-8086 extensions'),
  bit('PVI', 1, 'protected-mode virtual interrupts'),
  bit('TSD', 2, 'RDTSC and RDTSCP only in ring 0'),
  bit('DE', 3, 'debugging extensions: DR4 and DR5 raise #UD'),
  bit('PSE', 4, '4 MB pages in 32-bit paging'),
  bit('PAE', 5, '64-bit page-table entries; needed by long mode'),
  bit('MCE', 6, 'machine-check exceptions'),
  bit('PGE', 7, 'global pages'),
  bit('PCE', 8, 'RDPMC in every ring'),
  bit('OSFXSR', 9, 'FXSAVE and SSE enabled'),
  bit('OSXMMEXCPT', 10, 'SSE errors raise #XM'),
  bit('UMIP', 11, 'SGDT SIDT SLDT STR SMSW only in ring 0'),
  bit('LA57', 12, '5-level paging'),
  bit('VMXE', 13, 'VMX operation may be entered'),
  bit('SMXE', 14, 'safer mode extensions'),
  bit('FSGSBASE', 16, 'RDFSBASE WRFSBASE RDGSBASE WRGSBASE'),
  bit('PCIDE', 17, 'process-context identifiers in CR3'),
  bit('OSXSAVE', 18, 'XSAVE and XCR0 enabled'),
  bit('SMEP', 20, 'ring 0 may not execute user pages'),
  bit('SMAP', 21, 'ring 0 may not touch user pages unless RFLAGS.AC'),
  bit('PKE', 22, 'protection keys of user pages'),
  bit('CET', 23, 'control-flow enforcement'),
];

/** SDM 1 13.3. */
const xcr0: readonly BitField[] = [
  bit('x87', 0, 'x87 state'),
  bit('SSE', 1, 'XMM registers and MXCSR'),
  bit('AVX', 2, 'upper halves of the YMM registers'),
  bit('PKRU', 9, 'rights of the protection keys'),
];

const cr8: readonly BitField[] = [field('TPR', 3, 0, 'interrupts of this priority class and lower wait')];

/** SDM 4 2.1, C000_0080h. */
const efer: readonly BitField[] = [
  bit('SCE', 0, 'SYSCALL and SYSRET enabled'),
  bit('LME', 8, 'long mode starts when paging is switched on'),
  bit('LMA', 10, 'long mode is active'),
  bit('NXE', 11, 'bit 63 of page-table entries forbids execution'),
];

/** SDM 3B 18.2.3. */
const dr6: readonly BitField[] = [
  bit('B0', 0, 'condition of DR0 met'),
  bit('B1', 1, 'condition of DR1 met'),
  bit('B2', 2, 'condition of DR2 met'),
  bit('B3', 3, 'condition of DR3 met'),
  bit('BD', 13, 'next instruction touches a debug register'),
  bit('BS', 14, 'single step'),
  bit('BT', 15, 'task switch'),
];

const condition = { 0: 'execution', 1: 'writes', 2: 'I/O', 3: 'reads and writes' };
const length = { 0: '1 byte', 1: '2 bytes', 2: '8 bytes', 3: '4 bytes' };
const breakpointControl = (n: number): BitField[] => [
  field(`R/W${n}`, 17 + n * 4, 16 + n * 4, `DR${n} watches`, condition),
  field(`LEN${n}`, 19 + n * 4, 18 + n * 4, `DR${n} covers`, length),
];
/** SDM 3B 18.2.4. */
const dr7: readonly BitField[] = [
  ...[0, 1, 2, 3].flatMap((n) => [
    bit(`L${n}`, n * 2, `DR${n} enabled for this task`),
    bit(`G${n}`, n * 2 + 1, `DR${n} enabled`),
  ]),
  bit('LE', 8, 'exact data breakpoints (no effect)'),
  bit('GE', 9, 'exact data breakpoints (no effect)'),
  bit('GD', 13, 'MOV to or from a debug register raises #DB'),
  ...[0, 1, 2, 3].flatMap(breakpointControl),
];

/** SDM 1 10.2.3. */
const mxcsr: readonly BitField[] = [
  bit('IE', 0, 'invalid operation happened'),
  bit('DE', 1, 'denormal operand happened'),
  bit('ZE', 2, 'division by zero happened'),
  bit('OE', 3, 'overflow happened'),
  bit('UE', 4, 'underflow happened'),
  bit('PE', 5, 'inexact result happened'),
  bit('DAZ', 6, 'denormal operands count as zero'),
  bit('IM', 7, 'invalid operation masked'),
  bit('DM', 8, 'denormal operand masked'),
  bit('ZM', 9, 'division by zero masked'),
  bit('OM', 10, 'overflow masked'),
  bit('UM', 11, 'underflow masked'),
  bit('PM', 12, 'inexact result masked'),
  field('RC', 14, 13, 'rounding', { 0: 'nearest', 1: 'down', 2: 'up', 3: 'towards zero' }),
  bit('FTZ', 15, 'results that underflow become zero'),
];

/** SDM 1 8.1.5. */
const x87Control: readonly BitField[] = [
  bit('IM', 0, 'invalid operation masked'),
  bit('DM', 1, 'denormal operand masked'),
  bit('ZM', 2, 'division by zero masked'),
  bit('OM', 3, 'overflow masked'),
  bit('UM', 4, 'underflow masked'),
  bit('PM', 5, 'inexact result masked'),
  field('PC', 9, 8, 'precision', { 0: '24 bits', 2: '53 bits', 3: '64 bits' }),
  field('RC', 11, 10, 'rounding', { 0: 'nearest', 1: 'down', 2: 'up', 3: 'towards zero' }),
];

/** SDM 1 8.1.3. */
const x87Status: readonly BitField[] = [
  bit('IE', 0, 'invalid operation happened'),
  bit('DE', 1, 'denormal operand happened'),
  bit('ZE', 2, 'division by zero happened'),
  bit('OE', 3, 'overflow happened'),
  bit('UE', 4, 'underflow happened'),
  bit('PE', 5, 'inexact result happened'),
  bit('SF', 6, 'stack overflow or underflow'),
  bit('ES', 7, 'an unmasked exception waits'),
  bit('C0', 8, 'condition code 0'),
  bit('C1', 9, 'condition code 1'),
  bit('C2', 10, 'condition code 2'),
  field('TOP', 13, 11, 'register that is ST(0)'),
  bit('C3', 14, 'condition code 3'),
  bit('B', 15, 'copy of ES'),
];

const SYSTEM_SEGMENT_TYPES = {
  2: 'LDT',
  9: '64-bit TSS, available',
  11: '64-bit TSS, busy',
  12: 'call gate',
  14: 'interrupt gate',
  15: 'trap gate',
};
/** SDM 3C 25.4.1, the format of the VMCS. */
const segmentRights: readonly BitField[] = [
  field('type', 3, 0, 'kind of segment (SDM 3A 3.4.5.1)'),
  bit('S', 4, 'code or data (0: system segment)'),
  field('DPL', 6, 5, 'descriptor privilege level'),
  bit('P', 7, 'present'),
  bit('AVL', 12, 'for software'),
  bit('L', 13, '64-bit code'),
  bit('D/B', 14, '32-bit default size'),
  bit('G', 15, 'limit counts 4 KB pages'),
  bit('unusable', 16, 'null selector was loaded'),
];

const errorCodePageFault: readonly BitField[] = [
  bit('P', 0, '1: refused by a right of a present page; 0: not present'),
  bit('W', 1, 'the access was a write'),
  bit('U', 2, 'the access was made at CPL 3'),
  bit('RSVD', 3, 'a reserved bit is set in a table entry'),
  bit('I', 4, 'the access was an instruction fetch'),
  bit('PK', 5, 'refused by a protection key'),
  bit('SS', 6, 'shadow-stack access'),
];

const selector: readonly BitField[] = [
  field('RPL', 1, 0, 'requested privilege level'),
  bit('TI', 2, '1: in the LDT'),
  field('index', 15, 3, 'number of the descriptor'),
];

const star: readonly BitField[] = [
  field('SYSCALL CS', 47, 32, 'CS that SYSCALL loads; SS is this + 8'),
  field('SYSRET CS', 63, 48, 'SYSRETQ loads CS from this + 16 and SS from this + 8, both with RPL 3'),
];

const interruptibility: readonly BitField[] = [
  bit('STI', 0, 'interrupts wait for the instruction after STI'),
  bit('MOV SS', 1, 'interrupts and debug traps wait for the instruction after a load of SS'),
  bit('SMI', 2, 'SMIs wait'),
  bit('NMI', 3, 'NMIs wait for IRET'),
];

const apicBase: readonly BitField[] = [
  bit('BSP', 8, 'bootstrap processor'),
  bit('EXTD', 10, 'x2APIC mode'),
  bit('EN', 11, 'APIC enabled'),
  field('base', 51, 12, 'page number of the APIC'),
];

const featureControl: readonly BitField[] = [
  bit('lock', 0, 'no more changes until reset'),
  bit('VMX in SMX', 1, 'VMXON allowed in SMX operation'),
  bit('VMX', 2, 'VMXON allowed outside SMX operation'),
];

/** SDM 3A 12.12.2. */
const pat: readonly BitField[] = [0, 1, 2, 3, 4, 5, 6, 7].map((n) =>
  field(`PA${n}`, 8 * n + 2, 8 * n, 'memory type', PAT_TYPES),
);

/** SDM 3C table 25-9. */
const eptPointer: readonly BitField[] = [
  field('memory type', 2, 0, 'how accesses to the EPT itself are cached', MEMORY_TYPES),
  field('walk length', 5, 3, 'levels less 1', { 3: '4 levels', 4: '5 levels' }),
  bit('A/D', 6, 'accessed and dirty flags of EPT entries are set'),
  bit('SSS', 7, 'rights of supervisor shadow-stack pages are enforced'),
  field('root', 51, 12, 'page number of the root table'),
];

/** By register name. */
export const BITS = {
  rflags,
  cr0,
  cr3,
  cr4,
  cr8,
  efer,
  dr6,
  dr7,
  mxcsr,
  xcr0,
  x87Control,
  x87Status,
  segmentRights,
  selector,
  errorCodePageFault,
  star,
  interruptibility,
  apicBase,
  featureControl,
  pat,
  eptPointer,
} as const;

/** Every field with its value. */
export function describeBits(fields: readonly BitField[], value: bigint): DescribedField[] {
  return fields.map((f) => {
    const part = (value >> BigInt(f.lo)) & ((1n << BigInt(f.hi - f.lo + 1)) - 1n);
    const named = f.values?.[Number(part)];
    return {
      name: f.name,
      value: part,
      meaning: named === undefined ? f.meaning : `${f.meaning}: ${named}`,
      hi: f.hi,
      lo: f.lo,
    };
  });
}

/** Names of the bits that are 1 and `NAME=value` of the wider fields that are not 0, from the top bit down: "PG WP NE ET PE". */
export function bitsInWords(fields: readonly BitField[], value: bigint): string {
  return describeBits(fields, value)
    .filter((f) => f.value !== 0n)
    .sort((a, b) => b.hi - a.hi)
    .map((f) => (f.hi === f.lo ? f.name : `${f.name}=${f.value}`))
    .join(' ');
}

/** Type field of a segment in words: "64-bit code, accessed", "data, writable, accessed", "64-bit TSS, busy". */
export function segmentTypeInWords(rights: number): string {
  if (rights & 0x10000) return 'unusable';
  const type = rights & 15;
  if (!(rights & 0x10)) return (SYSTEM_SEGMENT_TYPES as Record<number, string>)[type] ?? `system type ${type}`;
  const words: string[] = [];
  if (type & 8) {
    words.push(rights & 0x2000 ? '64-bit code' : rights & 0x4000 ? '32-bit code' : '16-bit code');
    if (type & 4) words.push('conforming');
    if (type & 2) words.push('readable');
  } else {
    words.push('data');
    if (type & 4) words.push('expand-down');
    words.push(type & 2 ? 'writable' : 'read-only');
  }
  if (type & 1) words.push('accessed');
  return words.join(', ');
}

/** What exits, as lists for people: the MSR, I/O, exception, VMREAD, VMWRITE, XSS-exiting and EOI-exit bitmaps, the masks of CR0 and CR4, the CR3 targets (SDM 3C 25.6). */
import type { CpuContext } from '../cpu/context.ts';
import { vectorName } from '../cpu/system/fault.ts';
import { msrName } from '../cpu/system/msrs.ts';
import { BITS, type BitField } from '../describe/bits.ts';
import { Pin, Primary, Secondary } from './controls.ts';
import { Field, fieldName, vmcsField, VMCS_FIELDS } from './fields.ts';
import { msrBitmapBit, MSR_BITMAP_RANGES, MSR_RANGE } from './intercepts.ts';
import { EOI_BITMAPS, endOfInterruptExits, secondaryControls } from './queries.ts';
import type { CurrentVmcs } from './vmcs.ts';

export interface ExitListRow {
  readonly text: string;
  readonly exits: boolean;
}

/** One bitmap, mask or list of values. */
export interface ExitList {
  /** Stable, e.g. 'rdmsr'. */
  readonly id: string;
  /** What it is about: "RDMSR". */
  readonly title: string;
  readonly section: string;
  /** Fields it stands in, or that point to it. */
  readonly fields: readonly number[];
  /** Whether its control puts it in effect. */
  readonly inEffect: boolean;
  /** The control and how it stands, and what holds when the list is not in effect. */
  readonly because: string;
  /** In the order of numbers; every case is in one. */
  readonly rows: readonly ExitListRow[];
}

/** A guest of ours is in random memory: more ranges than these help nobody. */
const MOST_ROWS = 200;
const MOST_NAMES = 8;

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

class Lists {
  constructor(
    readonly context: CpuContext,
    readonly vmcs: CurrentVmcs,
  ) {}

  pin(bit: number): boolean {
    return (this.vmcs.read32(Field.pinBasedControls) & bit) !== 0;
  }
  primary(bit: number): boolean {
    return (this.vmcs.read32(Field.primaryControls) & bit) !== 0;
  }
  secondary(bit: number): boolean {
    return (secondaryControls(this.vmcs) & bit) !== 0;
  }
  /** A bit of a bitmap in memory; all ones where no memory is, as the processor takes it. */
  bit(field: number, number: number): boolean {
    const at = this.vmcs.address(field) + (number >> 3);
    return !this.context.physical.has(at) || ((this.context.physical.slice(at, 1)[0]! >> (number & 7)) & 1) === 1;
  }
}

export function exitLists(context: CpuContext, vmcs: CurrentVmcs): ExitList[] {
  const lists = new Lists(context, vmcs);
  return [
    msrs(lists, false),
    msrs(lists, true),
    ports(lists),
    exceptions(lists),
    controlMask(lists, 0),
    controlMask(lists, 4),
    cr3Targets(lists),
    shadowed(lists, false),
    shadowed(lists, true),
    xss(lists),
    endOfInterrupt(lists),
  ];
}

const stands = (name: string, set: boolean, otherwise: string): string =>
  `"${name}" is ${set ? '1' : `0: ${otherwise}`}`;

interface Run {
  readonly first: number;
  readonly last: number;
  readonly set: boolean;
}

/** Runs of equal bits among the numbers first..last. */
function runs(first: number, last: number, isSet: (number: number) => boolean): Run[] {
  const found: Run[] = [];
  let start = first;
  let set = isSet(first);
  for (let number = first + 1; number <= last + 1; number++) {
    const next = number <= last ? isSet(number) : !set;
    if (next === set) continue;
    found.push({ first: start, last: number - 1, set });
    start = number;
    set = next;
  }
  return found;
}

function range({ first, last }: Run, digits = 0): string {
  const number = (value: number): string => `0x${value.toString(16).padStart(digits, '0')}`;
  return first === last ? number(first) : `${number(first)}–${number(last)}`;
}

function shortened(rows: readonly ExitListRow[]): readonly ExitListRow[] {
  if (rows.length <= MOST_ROWS) return rows;
  return [...rows.slice(0, MOST_ROWS), { text: `and ${rows.length - MOST_ROWS} further ranges`, exits: false }];
}

/** "(FS_BASE, GS_BASE)": the MSRs among these that this processor knows. */
function msrNames({ first, last }: Run): string {
  const names: string[] = [];
  for (let msr = first; msr <= last; msr++) {
    const name = msrName(msr);
    if (name) names.push(name);
  }
  if (names.length === 0) return '';
  const more = names.length - MOST_NAMES;
  return ` (${names.slice(0, MOST_NAMES).join(', ')}${more > 0 ? ` and ${more} more` : ''})`;
}

function msrs(lists: Lists, write: boolean): ExitList {
  const inEffect = lists.primary(Primary.MsrBitmaps);
  const verb = write ? 'writes' : 'reads';
  const ranges = (base: number): ExitListRow[] =>
    runs(base, base + MSR_RANGE - 1, (msr) => lists.bit(Field.msrBitmaps, msrBitmapBit(msr, write))).map((run) => ({
      text: `${verb} of ${range(run)}${msrNames(run)} ${exit(run.set)}`,
      exits: run.set,
    }));
  const rows = inEffect
    ? [...MSR_BITMAP_RANGES.flatMap(ranges), { text: `${verb} of every other MSR exit`, exits: true }]
    : [{ text: `${verb} of every MSR exit`, exits: true }];
  return {
    id: write ? 'wrmsr' : 'rdmsr',
    title: `MSR ${verb} (${write ? 'WRMSR' : 'RDMSR'})`,
    section: 'SDM 3C 25.6.9',
    fields: [Field.msrBitmaps],
    inEffect,
    because: stands('use MSR bitmaps', inEffect, `every ${write ? 'WRMSR' : 'RDMSR'} exits`),
    rows: shortened(rows),
  };
}

const exit = (exits: boolean): string => (exits ? 'exit' : 'do not exit');

const PORTS_OF_BITMAP = 0x8000;

function ports(lists: Lists): ExitList {
  const inEffect = lists.primary(Primary.IoBitmaps);
  const all = lists.primary(Primary.UnconditionalIoExiting);
  const bit = (port: number): boolean =>
    lists.bit(port < PORTS_OF_BITMAP ? Field.ioBitmapA : Field.ioBitmapB, port % PORTS_OF_BITMAP);
  const rows = inEffect
    ? [
        ...runs(0, 0xffff, bit).map((run) => ({
          text: `port${run.first === run.last ? '' : 's'} ${range(run, 4)} ${run.first === run.last ? exit(run.set).replace(/^exit/, 'exits').replace(/^do/, 'does') : exit(run.set)}`,
          exits: run.set,
        })),
        { text: 'an access that goes on past port 0xffff exits', exits: true },
      ]
    : [{ text: `every port ${all ? 'exits' : 'is used without an exit'}`, exits: all }];
  const otherwise = `"unconditional I/O exiting" decides, which is ${all ? 1 : 0}`;
  return {
    id: 'io',
    title: 'I/O ports (IN, OUT, INS, OUTS)',
    section: 'SDM 3C 25.6.4',
    fields: [Field.ioBitmapA, Field.ioBitmapB],
    inEffect,
    because: stands('use I/O bitmaps', inEffect, otherwise),
    rows: shortened(rows),
  };
}

const NMI = 2;
const PAGE_FAULT = 14;
const EXCEPTIONS = 32;

function exceptions(lists: Lists): ExitList {
  const bitmap = lists.vmcs.read32(Field.exceptionBitmap);
  const rows: ExitListRow[] = [];
  for (let vector = 0; vector < EXCEPTIONS; vector++) {
    const named = ((bitmap >>> vector) & 1) === 1;
    const name = vectorName(vector);
    const number = name.startsWith('vector') ? '' : ` (vector ${vector})`;
    if (vector === PAGE_FAULT) rows.push(pageFaults(lists, named));
    else if (vector === NMI) {
      const exits = lists.pin(Pin.NmiExiting);
      rows.push({ text: `NMI ${exits ? 'exits' : 'does not exit'}: "NMI exiting" is ${exits ? 1 : 0}`, exits });
    } else if (named || !name.startsWith('vector'))
      rows.push({ text: `${name}${number} ${named ? 'exits' : 'does not exit'}`, exits: named });
  }
  return {
    id: 'exceptions',
    title: 'Exceptions',
    section: 'SDM 3C 25.6.3',
    fields: [Field.exceptionBitmap, Field.pageFaultErrorCodeMask, Field.pageFaultErrorCodeMatch],
    inEffect: true,
    because: 'always in effect; software interrupts (INT n) never exit by it',
    rows,
  };
}

/** Its bit is inverted where the error code does not match (SDM 3C 26.2). */
function pageFaults({ vmcs }: Lists, named: boolean): ExitListRow {
  const mask = vmcs.read32(Field.pageFaultErrorCodeMask);
  const match = vmcs.read32(Field.pageFaultErrorCodeMatch);
  const wanted = errorCodeInWords(mask, match);
  const never = (match & ~mask) !== 0;
  const text = (words: string, exits: boolean): ExitListRow => ({
    text: `#PF (vector 14) ${words} (mask ${hex(mask)}, match ${hex(match)})`,
    exits,
  });
  if (never) return text(named ? 'does not exit: no error code can match' : 'exits: no error code can match', !named);
  if (wanted === '') return text(named ? 'exits' : 'does not exit', named);
  return text(`${named ? 'exits' : 'exits unless'} ${named ? 'if ' : ''}its error code has ${wanted}`, true);
}

/** "P=1, W=0": what the error code must have to match. */
function errorCodeInWords(mask: number, match: number): string {
  const words: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    if (!((mask >>> bit) & 1)) continue;
    const name = BITS.errorCodePageFault.find(({ lo }) => lo === bit)?.name ?? `bit ${bit}`;
    words.push(`${name}=${(match >>> bit) & 1}`);
  }
  return words.join(', ');
}

function controlMask({ vmcs }: Lists, register: 0 | 4): ExitList {
  const [maskField, shadowField] = register === 0 ? [Field.cr0Mask, Field.cr0Shadow] : [Field.cr4Mask, Field.cr4Shadow];
  const mask = vmcs.read(maskField);
  const shadow = vmcs.read(shadowField);
  const bits: readonly BitField[] = register === 0 ? BITS.cr0 : BITS.cr4;
  const rows: ExitListRow[] = [];
  for (let bit = 0n; bit < 64n; bit++) {
    if (!((mask >> bit) & 1n)) continue;
    const name = bits.find(({ lo }) => BigInt(lo) === bit)?.name;
    if (!name && mask === 0xffff_ffff_ffff_ffffn) continue;
    const reads = (shadow >> bit) & 1n;
    rows.push({ text: `${name ?? `bit ${bit}`}: reads as ${reads}, writing ${1n - reads} exits`, exits: true });
  }
  if (mask === 0xffff_ffff_ffff_ffffn) rows.push({ text: 'every other bit is owned by the host, too', exits: true });
  else rows.push({ text: `${rows.length > 0 ? 'every other' : 'every'} bit is the guest's own`, exits: false });
  return {
    id: `cr${register}`,
    title: `Writes of CR${register}`,
    section: 'SDM 3C 25.6.6',
    fields: [maskField, shadowField],
    inEffect: mask !== 0n,
    because: mask === 0n ? 'the guest/host mask is 0' : `the guest/host mask is ${hex(mask)}`,
    rows,
  };
}

function cr3Targets(lists: Lists): ExitList {
  const inEffect = lists.primary(Primary.Cr3LoadExiting);
  const count = Math.min(4, lists.vmcs.read32(Field.cr3TargetCount));
  const targets = [Field.cr3Target0, Field.cr3Target1, Field.cr3Target2, Field.cr3Target3].slice(0, count);
  const rows = targets.map((field) => ({ text: `${hex(lists.vmcs.read(field))} does not exit`, exits: false }));
  const rest = rows.length > 0 ? 'every other value' : 'every value';
  return {
    id: 'cr3',
    title: 'Writes of CR3',
    section: 'SDM 3C 25.6.7',
    fields: [Field.cr3TargetCount, ...targets],
    inEffect,
    because: stands('CR3-load exiting', inEffect, 'MOV to CR3 does not exit'),
    rows: inEffect ? [...rows, { text: `${rest} exits`, exits: true }] : [{ text: 'no value exits', exits: false }],
  };
}

const ENCODINGS = 0x8000;

function shadowed(lists: Lists, write: boolean): ExitList {
  const name = write ? 'VMWRITE' : 'VMREAD';
  const inEffect = lists.secondary(Secondary.VmcsShadowing);
  const field = write ? Field.vmwriteBitmap : Field.vmreadBitmap;
  const rows: ExitListRow[] = [];
  let others = 0;
  const known = new Set(VMCS_FIELDS.filter(({ implemented }) => implemented).map(({ encoding }) => encoding));
  for (let encoding = 0; inEffect && encoding < ENCODINGS; encoding++) {
    if (lists.bit(field, encoding)) continue;
    if (!known.has(encoding & ~1) || !vmcsField(encoding)) others++;
    else rows.push({ text: `${fieldName(encoding)}${encoding & 1 ? ' (high half)' : ''} does not exit`, exits: false });
  }
  if (others > 0) rows.push({ text: `${others} encodings without a field do not exit`, exits: false });
  return {
    id: name.toLowerCase(),
    title: name,
    section: 'SDM 3C 25.6.15',
    fields: [field, Field.vmcsLinkPointer],
    inEffect,
    because: stands('VMCS shadowing', inEffect, `every ${name} exits`),
    rows: [
      ...shortened(rows),
      { text: `${name} of every ${rows.length > 0 ? 'other ' : ''}encoding exits`, exits: true },
    ],
  };
}

/** Supervisor state components (SDM 1 13.1). */
const XSS_COMPONENTS: Readonly<Record<number, string>> = {
  8: 'PT',
  10: 'PASID',
  11: 'CET_U',
  12: 'CET_S',
  13: 'HDC',
  14: 'UINTR',
  15: 'LBR',
  16: 'HWP',
};

function xss(lists: Lists): ExitList {
  const inEffect = lists.secondary(Secondary.Xsaves);
  const bitmap = lists.vmcs.read(Field.xssExitingBitmap);
  const rows: ExitListRow[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (!((bitmap >> BigInt(bit)) & 1n)) continue;
    rows.push({ text: `component ${bit}${XSS_COMPONENTS[bit] ? ` (${XSS_COMPONENTS[bit]})` : ''} exits`, exits: true });
  }
  return {
    id: 'xss',
    title: 'XSAVES and XRSTORS',
    section: 'SDM 3C 25.6.19',
    fields: [Field.xssExitingBitmap],
    inEffect,
    because: stands('enable XSAVES/XRSTORS', inEffect, 'both raise #UD'),
    rows: inEffect ? [...rows, { text: `${rows.length > 0 ? 'no other' : 'no'} component exits`, exits: false }] : [],
  };
}

function endOfInterrupt(lists: Lists): ExitList {
  const inEffect = lists.secondary(Secondary.VirtualInterruptDelivery);
  const rows = runs(0, 255, (vector) => endOfInterruptExits(lists.vmcs, vector)).map((run) => ({
    text: `EOI of vector${run.first === run.last ? '' : 's'} ${range(run, 2)} ${run.set ? 'exits' : 'does not exit'}`,
    exits: run.set,
  }));
  return {
    id: 'eoi',
    title: 'EOI of virtual interrupts',
    section: 'SDM 3C 25.6.8',
    fields: [...EOI_BITMAPS],
    inEffect,
    because: stands('virtual-interrupt delivery', inEffect, 'no EOI is virtualised'),
    rows: inEffect ? rows : [],
  };
}

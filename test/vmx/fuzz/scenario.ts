/**
 * Random scripts for the hypervisor of the conformance rows (../hypervisor.s): control values that are mostly valid, entries of tables, guests of random instructions or
 * of random bytes, root code with VMX instructions on random operands. One seed, one scenario.
 */
import { type Changes, GOOD_STATES, VIOLATIONS } from '../../../emulator/vmx/checks/violations.ts';
import { Field, type FieldName, VMCS_FIELDS } from '../../../emulator/vmx/fields.ts';
import { allForms } from '../../isa/fuzz/forms.ts';
import { DATA } from '../../isa/fuzz/layout.ts';
import { sequence } from '../../isa/fuzz/program.ts';
import type { Random } from '../../isa/support/random.ts';
import { whyLeftOutHere } from '../../lockstep/forms.ts';
import type { Assembled } from '../../support/assemble.ts';
import { OPERATIONS, PLACES } from '../kernel.ts';
import { randomControls } from './controls.ts';
import { FRAGMENTS, fragmentBytes } from './image.ts';

/** The one row's script, the cells that operands point to, and code, 4 KB a piece. */
export const SCRIPT = 0x500000;
const CELLS = 0x5f0000;
const CODE = 0x600000;
const PIECE = 0x1000;
const ALL_ONES = 0xffff_ffff_ffff_ffffn;
const RCX = 1;
const RBX = 3;
const RSI = 6;
const RDI = 7;
const RET = 0xc3;
const VMCALL = [0x0f, 0x01, 0xc1];

const LOG_PAGE = 0x10b000;
const EXCEPTION_PAGE = 0x10c000;
const SECOND_VMCS = 0x10d000;
const { WINDOW, EPT, OTHER_EPT, GUEST_TABLES, MSR_AREA } = PLACES;
const ACCESS_PAGE = WINDOW + 0x4000;

/** Fields that hold addresses, and what else must be right for most controls. */
const POINTERS: Partial<Record<FieldName, number>> = {
  ioBitmapA: PLACES.IO_BITMAP_A,
  ioBitmapB: PLACES.IO_BITMAP_B,
  virtualApicAddress: PLACES.VIRTUAL_APIC,
  apicAccessAddress: ACCESS_PAGE,
  postedInterruptDescriptorAddress: PLACES.DESCRIPTOR,
  postedInterruptNotificationVector: 0xf2,
  pidPointerTableAddress: PLACES.DESCRIPTOR + 0x80,
  lastPidPointerIndex: 1,
  eptpListAddress: PLACES.PAGE,
  vmFunctionControls: 1,
  vmreadBitmap: PLACES.OTHER_PAGE,
  vmwriteBitmap: PLACES.OTHER_PAGE,
  pmlAddress: LOG_PAGE,
  virtualizationExceptionAddress: EXCEPTION_PAGE,
  sppTablePointer: OTHER_EPT,
  guestEfer: 0xd01,
  hostEfer: 0xd01,
  entryMsrLoadAddress: MSR_AREA,
  exitMsrStoreAddress: MSR_AREA + 0x100,
  exitMsrLoadAddress: MSR_AREA + 0x200,
};
const WRITABLE = VMCS_FIELDS.filter(({ implemented, writable }) => implemented && writable);
/** Fields whose random bits leave most entries good. */
const HARMLESS: readonly FieldName[] = [
  'exceptionBitmap',
  'pageFaultErrorCodeMask',
  'pageFaultErrorCodeMatch',
  'cr0Mask',
  'cr0Shadow',
  'cr4Mask',
  'cr4Shadow',
  'tscOffset',
  'tscMultiplier',
  'eoiExitBitmap0',
  'eoiExitBitmap1',
  'pleGap',
  'pleWindow',
  'pmlIndex',
  'guestInterruptStatus',
  'eptpIndex',
];
/** Places of entries, bitmaps and pages that scripts change. */
const POKED = [
  EPT + 0x2000 + 4 * 8,
  EPT + 0x2000 + 3 * 8,
  GUEST_TABLES + 0x2000 + 4 * 8,
  PLACES.VIRTUAL_APIC + 0x80,
  PLACES.VIRTUAL_APIC + 0x120,
  PLACES.DESCRIPTOR + 8,
  PLACES.DESCRIPTOR + 32,
  PLACES.DESCRIPTOR + 0x80,
  PLACES.MSR_BITMAP + 0x28,
  PLACES.MSR_BITMAP + 0x410,
  PLACES.MSR_BITMAP + 0x828,
  PLACES.IO_BITMAP_A + 0x10,
  PLACES.OTHER_PAGE + 0x340,
  EXCEPTION_PAGE,
  ...Array.from({ length: 8 }, (_, n) => EPT + 0x6000 + n * 8),
  ...Array.from({ length: 8 }, (_, n) => OTHER_EPT + 0x6000 + n * 8),
  ...Array.from({ length: 8 }, (_, n) => GUEST_TABLES + 0x6000 + n * 8),
] as const;

/** Fragments for code in root operation: those that do not end it. */
const FOR_ROOT = /^(vm|inv(ept|vpid)|mov ecx, \d; inv|xor ecx, ecx; inv|sti; nop|cpuid|lock|mov eax, 0x(fee|34|b2))/;
/** Fragments that only access memory: EPT, APIC-access page, log, sub-pages. */
const ACCESSES = FRAGMENTS.flatMap((text, number) =>
  /^(mov \[|mov eax, \[|lock|cmpx|mov ecx, 40)/.test(text) ? [number] : [],
);
const GUEST_FORMS = allForms().filter((form) => whyLeftOutHere(form, 0) === undefined);

export interface Scenario {
  /** By physical address. */
  readonly memory: readonly (readonly [number, Uint8Array])[];
  readonly instructions: number;
}

export function randomScenario(random: Random, image: Assembled): Scenario {
  return new Writer(random, image).scenario();
}

class Writer {
  readonly #random: Random;
  readonly #image: Assembled;
  readonly #words: bigint[] = [];
  readonly #pieces: Uint8Array[] = [];
  readonly #guests: number[] = [];

  constructor(random: Random, image: Assembled) {
    this.#random = random;
    this.#image = image;
  }

  scenario(): Scenario {
    const random = this.#random;
    for (let count = 2 + random.below(4); count > 0; count--) this.#guests.push(this.#guest());
    this.#prepare();
    for (let steps = 30 + random.below(60); steps > 0; steps--) this.#step();
    this.#op('END');
    const script = BigUint64Array.from(this.#words);
    const memory: [number, Uint8Array][] = [
      [SCRIPT, new Uint8Array(script.buffer)],
      [CELLS, this.#cells()],
    ];
    this.#pieces.forEach((bytes, index) => memory.push([CODE + index * PIECE, bytes]));
    return { memory, instructions: 40_000 };
  }

  #op(name: (typeof OPERATIONS)[number], ...words: readonly (number | bigint)[]): void {
    const [a = 0, b = 0, c = 0] = words;
    for (const word of [OPERATIONS.indexOf(name), a, b, c]) this.#words.push(BigInt.asUintN(64, BigInt(word)));
  }
  #put(field: FieldName, value: number | bigint): void {
    this.#op('CHANGE', Field[field], 0, value);
  }
  #apply(changes: Changes): void {
    for (const [name, change] of Object.entries(changes)) {
      const [bits, most] = typeof change === 'bigint' ? [change, change] : [change(0n), change(ALL_ONES)];
      this.#op('CHANGE', Field[name as FieldName], most & ~bits, bits);
    }
  }

  /** Pointers, controls, and a few tables. */
  #prepare(): void {
    const random = this.#random;
    for (const [name, value] of Object.entries(POINTERS)) this.#put(name as FieldName, value);
    for (const [name, { keep, bits }] of randomControls(random)) this.#op('CHANGE', Field[name], keep, bits);
    this.#put('preemptionTimerValue', 200 + random.below(4000));
    this.#put('tscMultiplier', 1n << 48n);
    this.#op('POKE', PLACES.PAGE, 0, EPT | 0x1e);
    this.#op('POKE', PLACES.PAGE + 8, 0, OTHER_EPT | 0x1e);
    this.#op('POKE', EXCEPTION_PAGE, 0, 0);
    this.#op('POKE', this.#image.symbols.get('guest_step')!, 0, random.below(5));
    for (const area of [0, 0x100, 0x200]) this.#op('POKE', MSR_AREA + area, 0, random.pick([0x174, 0x175, 0xc0000102]));
    for (let count = random.below(6); count > 0; count--) this.#poke();
    for (let count = random.below(6); count > 0; count--) this.#put(random.pick(HARMLESS), random.operand());
    if (random.oneIn(3)) this.#apply(random.pick(GOOD_STATES));
    if (random.oneIn(4)) this.#put(random.pick(['entryMsrLoadCount', 'exitMsrStoreCount', 'exitMsrLoadCount']), 1);
  }

  #poke(): void {
    const random = this.#random;
    const bit = 1n << BigInt(random.oneIn(3) ? random.below(64) : random.below(12));
    const place = random.pick(POKED);
    if (random.oneIn(2)) this.#op('POKE', place, ALL_ONES & ~bit, 0);
    else this.#op('POKE', place, ALL_ONES, bit);
  }

  #step(): void {
    const random = this.#random;
    const kind = random.below(16);
    if (kind < 6) this.#launch();
    else if (kind < 10) this.#resume();
    else if (kind < 12) this.#poke();
    else if (kind === 12) this.#op('CALL', this.#root());
    else if (kind === 13) this.#changeField();
    else if (kind === 14) this.#put('preemptionTimerValue', random.below(3000));
    else this.#again();
  }
  #launch(): void {
    const at = this.#random.pick(this.#guests);
    this.#op('LAUNCH', at, at, at);
  }
  #resume(): void {
    if (!this.#random.oneIn(4)) this.#op('SKIP');
    this.#op('RESUME');
  }
  /** A bit of any field; or what a check refuses. */
  #changeField(): void {
    const random = this.#random;
    if (random.oneIn(3))
      return this.#apply(random.pick(random.oneIn(2) ? GOOD_STATES : VIOLATIONS.map(([, fields]) => fields)));
    const { encoding, bits } = random.pick(WRITABLE);
    const bit = 1n << BigInt(random.below(bits));
    if (random.oneIn(2)) this.#op('CHANGE', encoding, ALL_ONES & ~bit, 0);
    else this.#op('CHANGE', encoding, ALL_ONES, bit);
  }
  /** From a good VMCS on. */
  #again(): void {
    this.#op('CALL', this.#image.symbols.get('fresh_vmcs')!);
    this.#prepare();
  }

  // ---------------------------------------------------------------- code

  #piece(bytes: readonly number[]): number {
    this.#pieces.push(Uint8Array.from(bytes.slice(0, PIECE)));
    return CODE + (this.#pieces.length - 1) * PIECE;
  }
  get #next(): number {
    return CODE + this.#pieces.length * PIECE;
  }
  /** General registers that fragments use. RCX is small: a repeated string instruction is one instruction however long (docs/quirks.md). */
  #registers(): number[] {
    const random = this.#random;
    const number = (): bigint =>
      random.pick([BigInt(random.below(5)), BigInt(random.pick(VMCS_FIELDS).encoding), random.operand(), 0x40n]);
    return [
      ...load(RBX, this.#pointer()),
      ...load(RSI, this.#pointer()),
      ...load(RDI, this.#pointer()),
      ...load(RCX, number() & 0xffffn),
      ...load(2, number()),
      ...load(0, number()),
      ...load(8, number()),
      ...load(9, number()),
    ];
  }
  #pointer(): bigint {
    const random = this.#random;
    const cell = BigInt(CELLS + random.below(16) * 8);
    const page = BigInt(random.pick([WINDOW, WINDOW, DATA]) + random.below(3) * 0x1000 + random.below(0x200) * 8);
    // Offset of an APIC register.
    const register = BigInt(ACCESS_PAGE + random.below(0x40) * 16);
    return random.pick([cell, cell, page, page, register, register, random.operand()]);
  }

  #guest(): number {
    const random = this.#random;
    const code = random.oneIn(4) ? [] : this.#registers();
    const kind = random.below(4);
    if (kind === 0) code.push(...random.bytes(16 + random.below(48)));
    else if (kind === 1) code.push(...this.#loop(code.length));
    else code.push(...this.#fragments(FRAGMENTS.length, () => true));
    return this.#piece([...code, ...VMCALL, 0xeb, 0xfb]);
  }
  /** MOV [counter], n; random instructions; DEC [counter]; JNZ back. */
  #loop(before: number): number[] {
    const random = this.#random;
    const counter = WINDOW + 0x7000;
    const at = before + 11;
    const made = sequence(random, GUEST_FORMS, this.#next + at, 20);
    const body = [...made.pointers.flatMap((pointer) => load(pointer, this.#pointer())), ...made.code];
    const back = -(body.length + 7 + 6);
    return [
      ...[0xc7, 0x04, 0x25, ...word(counter), ...word(1 + random.below(60))],
      ...body,
      ...[0xff, 0x0c, 0x25, ...word(counter)],
      ...[0x0f, 0x85, ...word(back)],
    ];
  }
  #root(): number {
    const random = this.#random;
    const any = random.oneIn(12);
    return this.#piece([...this.#registers(), ...this.#fragments(5, (text) => any || FOR_ROOT.test(text)), RET]);
  }
  #fragments(most: number, fit: (text: string) => boolean): number[] {
    const random = this.#random;
    const found: number[] = [];
    for (let count = 1 + random.below(Math.min(most, 12)); count > 0;) {
      const number = random.oneIn(4) ? random.pick(ACCESSES) : random.below(FRAGMENTS.length);
      if (!fit(FRAGMENTS[number]!)) continue;
      found.push(...fragmentBytes(this.#image, number));
      count--;
    }
    return found;
  }

  #cells(): Uint8Array {
    const random = this.#random;
    const regions = [PLACES.VMCS, PLACES.VMXON_REGION, PLACES.SHADOW_VMCS, SECOND_VMCS, PLACES.PAGE, EPT | 0x1e, 1, 2];
    const cells = BigUint64Array.from({ length: 24 }, (_, n) => BigInt(regions[n] ?? random.pick(regions)));
    for (let n = 16; n < 24; n++) cells[n] = random.operand();
    return new Uint8Array(cells.buffer);
  }
}

const word = (value: number): number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255];
/** MOV register, 64 bits. */
function load(register: number, value: bigint): number[] {
  const bytes = Array.from({ length: 8 }, (_, n) => Number((value >> BigInt(n * 8)) & 255n));
  return [register & 8 ? 0x49 : 0x48, 0xb8 | (register & 7), ...bytes];
}

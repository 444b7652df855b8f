/** Random 16- and 32-bit encodings of a table row, in flat segments and in segments with base and limit, with registers that make their operands fall somewhere sensible. */
import { decode } from '../../../emulator/cpu/decode.ts';
import type { DecodedInstruction } from '../../../emulator/cpu/decode.ts';
import type { MemoryOperand } from '../../../emulator/cpu/instruction.ts';
import type { OpcodeRow } from '../../../emulator/cpu/table/row.ts';
import { baseOf, codeAddress, FLAT_CODE, FLAT_DATA, Selector, WINDOW, WINDOW_BYTES } from './legacy-case.ts';
import type { LegacyCase } from './legacy-case.ts';
import type { Random } from './random.ts';
import { hasUndefinedResult, undefinedFlags } from './undefined-flags.ts';

const ESP = 4;
const MIDDLE = WINDOW + WINDOW_BYTES / 2;
const MARGIN = 96;
const INTERRUPTS_ENABLED = 0x202;
const DIRECTION = 0x400;
const FLAGS = [0x001, 0x004, 0x010, 0x040, 0x080, 0x800];
/** What POPF and IRET may load here: no TF, NT or AC. */
const HARMLESS_FLAGS = 0xed5;
/** Single bytes behind the instruction that tell where a branch went. */
const PAD = 6;
const INC_EAX = 0x40;
/** Of the stack pointer that host-legacy.c enters with. */
const HOST_ESP_HIGH = 0x380000;
const { code16, code32, data32, data16, down32, down16, readOnly, absent, executeOnly, none } = Selector;

/** Segments a case runs in. */
export interface Setting {
  readonly cs: number;
  readonly ss: readonly number[];
  readonly data: readonly number[];
}
export const SETTINGS: Readonly<Record<string, Setting>> = {
  'flat 32-bit segments': { cs: FLAT_CODE, ss: [FLAT_DATA], data: [FLAT_DATA] },
  '32-bit segments with limits': {
    cs: code32,
    ss: [data32, data16, down32],
    data: [data32, down32, readOnly, FLAT_DATA, none],
  },
  '16-bit segments': { cs: code16, ss: [data16, data32, down16], data: [data16, down16, data32, readOnly, none] },
};

const BRANCH_BY_REGISTER = /^(jmp|call)_indirect|^mov_to_segment|^l(ar|sl)|^ver|^bt/;
const RETURN = /^(ret|retf|iret|popf)/;
const BRANCH = /^(jcc|jmp|call|ret|loop|jrcxz|iret)/;

/** Selectors that segment loads and far transfers meet. */
const SELECTORS = [FLAT_DATA, data32, data16, down32, readOnly, absent, executeOnly, none, 3, 0x4f, 0x57, code32];

function bytesOf(value: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => (i < 4 ? (value >>> (i * 8)) & 255 : 0));
}

class Encoder {
  readonly gpr: Uint32Array;
  readonly window: Uint8Array;
  readonly ss: number;
  readonly ds: number;
  readonly es: number;
  readonly wide: boolean;
  /** The stack ends where the instruction wants it. */
  readonly edge: boolean;
  operandPrefix = false;
  addressPrefix = false;

  constructor(
    readonly random: Random,
    readonly row: OpcodeRow,
    readonly size: number,
    readonly setting: Setting,
    readonly address: number,
  ) {
    this.wide = setting.cs !== code16;
    this.ss = random.pick(setting.ss);
    this.ds = random.pick(setting.data);
    this.es = random.pick(setting.data);
    this.gpr = Uint32Array.from({ length: 8 }, () => Number(BigInt.asUintN(32, random.operand())));
    this.window = random.bytes(WINDOW_BYTES);
    this.gpr[ESP] = MIDDLE + 4 * random.below(8) - baseOf(this.ss);
    const returns = RETURN.test(row.op) && this.ss === down16;
    this.edge = random.oneIn(8) && !returns && this.ss !== FLAT_DATA && this.ss !== down32;
    const beyond = [0x1fff, 0x2000, 0xffff];
    if (this.edge) this.gpr[ESP] = random.pick(RETURN.test(row.op) ? beyond : [0, 1, 2, 4, 0x1ffd, 0x1ffe, ...beyond]);
    // IRET to a 16-bit stack loads SP only.
    if (!this.wideStack) this.gpr[ESP] = HOST_ESP_HIGH | (this.gpr[ESP]! & 0xffff);
    this.gpr[5] = (random.oneIn(2) ? MIDDLE + random.below(64) : this.gpr[ESP]! + baseOf(this.ss)) - baseOf(this.ss);
  }

  get wideStack(): boolean {
    return [FLAT_DATA, data32, down32].includes(this.ss as never);
  }
  /** Bits of addresses. */
  get addressBits(): 16 | 32 {
    return this.wide !== this.addressPrefix ? 32 : 16;
  }

  #immediate(code: string): number[] {
    const { random, size } = this;
    const value = Number(BigInt.asUintN(32, random.operand()));
    if (code === 'Jb') return [random.below(PAD + 1)];
    if (code === 'Jz') return bytesOf(random.below(PAD + 1), size);
    if (code === 'Ib' || code === 'Ibs') return [value & 255];
    if (code === 'Iw') return bytesOf(value, 2);
    if (code === 'Iz' || code === 'Iv') return bytesOf(value, size);
    if (code === 'Ap') {
      const selector = this.farSelector();
      return [...bytesOf(this.target(selector), size), ...bytesOf(selector, 2)];
    }
    if (code.startsWith('O')) return bytesOf(MIDDLE - baseOf(this.ds) + random.below(32), this.addressBits / 8);
    return [];
  }
  /** Offset in CS of one of the bytes behind the instruction; 16 is more than any instruction's length. */
  target(cs: number): number {
    const base = cs === executeOnly || cs === code32 ? baseOf(cs) : baseOf(this.setting.cs);
    return this.address + 16 + this.random.below(PAD) - base;
  }
  farSelector(): number {
    const { random, setting } = this;
    return random.oneIn(3) ? random.pick(SELECTORS.filter((selector) => selector !== code32 || this.wide)) : setting.cs;
  }

  encode(): number[] {
    const { random, row, size } = this;
    const codes = row.operands ?? [];
    const tokens = row.encoding.split(' ');
    const last = tokens.at(-1)!;
    const opcode = tokens.filter((token) => !token.startsWith('/')).map((token) => parseInt(token, 16));
    if (last.includes('+')) opcode[opcode.length - 1]! += random.below(last.includes('+r') ? 8 : 16);
    const counted = /^(loop|jrcxz)/.test(row.op);
    const operandSize = counted || (row.sizes?.length ?? 0) < 2 ? undefined : size;
    this.operandPrefix = operandSize === undefined ? false : (operandSize === 2) === this.wide;
    this.addressPrefix = counted ? (size === 2) === this.wide : random.oneIn(4);
    const modrm: number[] = [];
    if (last.startsWith('/')) {
      const memoryOnly = codes.some((code) => code.startsWith('M'));
      const reg = last === '/r' ? (codes.includes('Sw') ? random.below(4) : random.below(8)) : Number(last[1]);
      modrm.push(...this.#modrm(reg, memoryOnly || random.oneIn(2)));
    }
    const memory = modrm.length > 0 && modrm[0]! < 0xc0;
    const prefixes: number[] = [];
    if (this.operandPrefix) prefixes.push(0x66);
    if (this.addressPrefix) prefixes.push(0x67);
    if ((memory || row.rep) && random.oneIn(5)) prefixes.push(random.pick([0x26, 0x36, 0x3e]));
    if (row.lock && memory && random.oneIn(6)) prefixes.push(0xf0);
    if (row.rep && random.oneIn(2)) prefixes.push(row.rep === 'rep' ? 0xf3 : random.pick([0xf2, 0xf3]));
    if (row.prefix && row.prefix !== 'NP') prefixes.push(parseInt(row.prefix, 16));
    const immediates = codes.flatMap((code) => this.#immediate(code));
    // How far a refused return has looked at the stack is the processor's own affair.
    if (row.op === 'retf' && immediates.length > 0) immediates.splice(0, 2, random.below(64), 0);
    if (row.op === 'enter') immediates.splice(0, 3, random.below(64), 0, random.below(4));
    return [...prefixes, ...opcode, ...modrm, ...immediates];
  }
  #modrm(reg: number, memory: boolean): number[] {
    const { random } = this;
    if (!memory) return [0xc0 | (reg << 3) | random.below(8)];
    const mod = random.below(3);
    const rm = random.below(8);
    const bytes = [(mod << 6) | (reg << 3) | rm];
    const displacement = random.oneIn(2) ? random.below(256) - 128 : MIDDLE - baseOf(this.ds) + random.below(64) - 32;
    if (this.addressBits === 16) {
      const count = mod === 0 ? (rm === 6 ? 2 : 0) : mod;
      return [...bytes, ...bytesOf(mod === 0 ? MIDDLE - baseOf(this.ds) : displacement, count)];
    }
    const sib = random.next() & 255;
    if (rm === 4) bytes.push(sib);
    const absolute = mod === 0 && (rm === 5 || (rm === 4 && (sib & 7) === 5));
    const count = absolute ? 4 : mod === 0 ? 0 : mod === 1 ? 1 : 4;
    return [...bytes, ...bytesOf(absolute ? MIDDLE - baseOf(this.ds) : displacement, count)];
  }

  selectorOf(operand: MemoryOperand): number {
    return [this.es, this.setting.cs, this.ss, this.ds][operand.segment] ?? 0;
  }
  offsetOf({ base, index, scale, displacement, addressSize }: MemoryOperand): number {
    const sum =
      (base < 0 ? 0n : BigInt(this.gpr[base]!)) + (index < 0 ? 0n : BigInt(this.gpr[index]!) << BigInt(scale));
    return Number(BigInt.asUintN(addressSize, sum + displacement));
  }
  /** Changes a register so that the operand falls into the window. */
  aim(operand: MemoryOperand): void {
    const { base, index, scale, addressSize } = operand;
    const wanted = MIDDLE + this.random.below(96) - 48 - baseOf(this.selectorOf(operand));
    const register = base >= 0 && base !== ESP && base !== index ? base : scale === 0 && index !== base ? index : -1;
    if (register < 0 || register === ESP) return;
    const moved = this.gpr[register]! + wanted - this.offsetOf(operand);
    this.gpr[register] = addressSize === 16 ? (this.gpr[register]! & ~0xffff) | (moved & 0xffff) : moved;
  }
  /** Puts a value where the program will read it, if that is in the window. */
  patch(linear: number, value: number, bytes: number): void {
    bytesOf(value, bytes).forEach((byte, i) => {
      const at = linear - WINDOW + i;
      if (at >= 0 && at < WINDOW_BYTES) this.window[at] = byte;
    });
  }
  /** As `patch`, for an item of the stack. */
  patchStack(item: number, value: number): void {
    const offset = this.gpr[ESP]! + item * this.size;
    this.patch(baseOf(this.ss) + (this.wideStack ? offset : offset & 0xffff), value, this.size);
  }
  readStack(item: number): number {
    const offset = this.gpr[ESP]! + item * this.size;
    const at = baseOf(this.ss) + (this.wideStack ? offset : offset & 0xffff) - WINDOW;
    return (this.window[at] ?? 0) | ((this.window[at + 1] ?? 0) << 8);
  }
}

/** Registers and memory as the instruction needs them. */
function prepare(encoder: Encoder, { op, operands, size }: DecodedInstruction): void {
  const { random, gpr, setting } = encoder;
  if (/^(movs|stos|lods|cmps|scas)$/.test(op)) {
    const narrow = encoder.addressBits === 16;
    gpr[1] = random.below(9) | (narrow ? random.next() & 0xffff0000 : 0);
    for (const operand of operands) {
      if (operand.kind !== 'memory') continue;
      const pointer = MIDDLE - 64 + random.below(128) - baseOf(encoder.selectorOf(operand));
      gpr[operand.base] = random.oneIn(8) ? random.pick([0, 1, 0x1ffe, 0xfffe, 0xffff, 0xe00]) : pointer;
    }
  } else {
    for (const operand of operands) if (operand.kind === 'memory' && !random.oneIn(8)) encoder.aim(operand);
  }
  if (op === 'ins' || op === 'outs') gpr[1] = gpr[1]! | 1;
  const memory = operands.find((operand) => operand.kind === 'memory');
  const place = memory && baseOf(encoder.selectorOf(memory)) + encoder.offsetOf(memory);
  const target = encoder.target(setting.cs);
  if (op === 'jmp_indirect' || op === 'call_indirect') {
    const wild = random.oneIn(8) && setting.cs !== FLAT_CODE && !encoder.edge;
    const to = wild ? target + 0x10000 : target;
    if (place !== undefined) encoder.patch(place, to, size);
    else if (operands[0]?.kind === 'gpr') gpr[operands[0].register] = to;
  }
  if (/^(ret|retf|iret)$/.test(op)) {
    encoder.patchStack(0, target);
    if (op !== 'ret') encoder.patchStack(1, random.oneIn(4) ? encoder.farSelector() : setting.cs);
    if (op === 'iret') encoder.patchStack(2, (random.next() & HARMLESS_FLAGS) | INTERRUPTS_ENABLED);
  }
  if (op === 'popf') encoder.patchStack(0, (random.next() & HARMLESS_FLAGS) | INTERRUPTS_ENABLED);
  if (op === 'pop_segment') encoder.patchStack(0, random.pick(SELECTORS));
  if (place !== undefined && /^(jmp_far|call_far|les|lds|lss)$/.test(op)) {
    const load = op.startsWith('l');
    const selector = load ? random.pick(SELECTORS) : encoder.farSelector();
    encoder.patch(place, encoder.target(selector), size);
    encoder.patch(place + size, selector, 2);
  }
  if (/^(mov_to_segment|lar|lsl|verr|verw)$/.test(op)) {
    const selector = random.pick(SELECTORS);
    const source = operands.at(-1)!;
    if (place !== undefined) encoder.patch(place, selector, 2);
    else if (source.kind === 'gpr') gpr[source.register] = selector | (random.next() << 16);
  }
}

/** Whether an indirect transfer reads its target where `prepare` has put one. */
function transfersKnown(encoder: Encoder, { op, operands }: DecodedInstruction): boolean {
  const memory = operands.find((operand) => operand.kind === 'memory');
  if (!memory || !/^(jmp|call)_/.test(op)) return true;
  const linear = baseOf(encoder.selectorOf(memory)) + encoder.offsetOf(memory);
  return linear >= WINDOW && linear <= WINDOW + WINDOW_BYTES - 8;
}

/** Whether memory operands lie where both sides have the same bytes: in the window, or so far out that the segment refuses them. */
function predictable(encoder: Encoder, { op, operands }: DecodedInstruction): boolean {
  if (op === 'lea' || op === 'nop') return true;
  const reach = /^bt/.test(op) ? 80 : 16;
  return operands.every((operand) => {
    if (operand.kind !== 'memory') return true;
    const selector = encoder.selectorOf(operand);
    if ([data32, data16, down16, readOnly, none].includes(selector as never)) return true;
    const linear = baseOf(selector) + encoder.offsetOf(operand);
    return linear >= WINDOW + reach && linear <= WINDOW + WINDOW_BYTES - MARGIN - reach;
  });
}

const ALL_BUT_CARRIES = 0x8c4;
function openFlags(instruction: DecodedInstruction, gpr: Uint32Array): number {
  const { op } = instruction;
  if (op === 'aaa' || op === 'aas') return ALL_BUT_CARRIES;
  if (op === 'daa' || op === 'das') return 0x800;
  if (op === 'aam' || op === 'aad') return 0x811;
  return undefinedFlags(instruction, BigUint64Array.from(gpr, BigInt));
}

/** A random case of a row; undefined if chance made one that is of no use. */
export function generateLegacy(
  random: Random,
  row: OpcodeRow,
  size: number,
  setting: Setting,
  index: number,
): LegacyCase | undefined {
  const address = codeAddress(index);
  const encoder = new Encoder(random, row, size, setting, address);
  const bytes = encoder.encode();
  const mode = encoder.wide ? 1 : 0;
  const code = Uint8Array.from(bytes);
  const instruction = decode(code, 0, BigInt(address), mode, undefined, baseOf(setting.cs));
  if (!instruction || instruction.length !== code.length || instruction.row.op !== row.op) return undefined;
  // 16-bit offsets lead out of the code in flat segments.
  if (row.branch !== undefined && size === 2 && setting.cs === FLAT_CODE && BRANCH.test(row.op)) return undefined;
  prepare(encoder, instruction);
  const { gpr } = encoder;
  if (!predictable(encoder, instruction) || !transfersKnown(encoder, instruction)) return undefined;
  if (hasUndefinedResult(instruction, BigUint64Array.from(gpr, BigInt))) return undefined;
  const general = instruction.operands.find((operand) => operand.kind === 'gpr');
  if (BRANCH_BY_REGISTER.test(row.op) && general?.register === ESP) return undefined;
  // A flat bit string reaches wherever its offset says.
  const [first, second] = instruction.operands;
  if (/^bt/.test(row.op) && first?.kind === 'memory' && second?.kind === 'gpr') {
    if (first.base === second.register || first.index === second.register) return undefined;
    gpr[second.register] = random.below(512) - 256;
  }
  if (/^(enter|leave)$/.test(row.op) && [FLAT_DATA, down32].includes(encoder.ss as never)) {
    gpr[5] = MIDDLE - baseOf(encoder.ss);
  }
  if (!encoder.wideStack) gpr[ESP] = HOST_ESP_HIGH | (gpr[ESP]! & 0xffff);
  if ((row.op === 'iret' || row.op === 'retf') && (encoder.readStack(1) & 3) === 0 && encoder.readStack(1) > 3)
    return undefined;
  let eflags = INTERRUPTS_ENABLED;
  for (const flag of FLAGS) if (random.oneIn(2)) eflags |= flag;
  if (row.rep && random.oneIn(3)) eflags |= DIRECTION;
  const padding = new Array<number>(16 - code.length + PAD).fill(INC_EAX);
  const { cs } = setting;
  const { ss, ds, es, wide, window } = encoder;
  const shown = [...code].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return {
    name: `${instruction.op}/${instruction.size} [${shown}] cs=${cs.toString(16)} ss=${ss.toString(16)} ds=${ds.toString(16)} es=${es.toString(16)}`,
    code: Uint8Array.from([...code, ...padding]),
    wide,
    gpr,
    eflags,
    cs,
    ss,
    ds,
    es,
    window,
    undefinedFlags: openFlags(instruction, gpr),
  };
}

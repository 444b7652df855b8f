/** Random encodings of a table row, made from its encoding and operand codes; the caller checks them by decoding. */
import type { OpcodeRow } from '../../../emulator/cpu/table/row.ts';
import type { Random } from '../support/random.ts';
import { DATA } from './layout.ts';

/** What the surroundings of an instruction want of its operands. */
export interface Context {
  /** Linear address of the instruction. */
  readonly address: number;
  /** Registers that memory operands may have for a base; absent: any, and every addressing form. */
  readonly pointers?: readonly number[];
  /** Bytes after the instruction that a forward branch may pass over. */
  readonly ahead: number;
}

const RSP = 4;
const PREFIX_BYTE: Record<string, number> = { '66': 0x66, F2: 0xf2, F3: 0xf3 };

function immediateBytes(code: string, size: number): number {
  if (code === 'Ib' || code === 'Ibs' || /^L/.test(code)) return 1;
  if (code === 'Iw') return 2;
  if (code === 'Iz') return Math.min(size, 4);
  return code === 'Iv' ? size : 0;
}

function bytesOf(value: bigint, count: number): number[] {
  const bytes: number[] = [];
  for (let i = 0; i < count; i++, value >>= 8n) bytes.push(Number(value & 255n));
  return bytes;
}
const bytes32 = (value: number): number[] => [
  value & 255,
  (value >> 8) & 255,
  (value >> 16) & 255,
  (value >> 24) & 255,
];

export class Encoder {
  #rex = 0;
  #modrm: number[] = [];
  #ripRelative = false;
  #vvvv = 15;
  readonly #codes: readonly string[];
  readonly #memoryOnly: boolean;
  readonly #registerOnly: boolean;

  constructor(
    readonly random: Random,
    readonly row: OpcodeRow,
    readonly size: number,
    readonly context: Context,
  ) {
    this.#codes = row.operands ?? [];
    this.#memoryOnly = this.#codes.some((code) => code.startsWith('M'));
    this.#registerOnly = this.#codes.some((code) => /^[UNR]/.test(code));
  }

  encode(): number[] {
    const { row, random, size } = this;
    const codes = this.#codes;
    const escape = /^0F (38 |3A )?/.exec(row.encoding)?.[0] ?? '';
    const [first, second] = row.encoding.slice(escape.length).split(' ') as [string, string | undefined];
    let opcode = parseInt(first, 16);
    if (first.endsWith('+r')) {
      const register = this.#register();
      this.#rex |= register >> 3;
      opcode += register & 7;
    } else if (first.endsWith('+cc')) opcode += random.below(16);
    if (second !== undefined) this.#operands(second);
    if (codes.some((code) => /^[BH]/.test(code))) this.#vvvv = random.below(16);
    const wide = (row.sizes?.length ?? 0) > 1 && size === 8 && !row.default64;
    if (wide) this.#rex |= 8;
    const tail = this.#immediates();
    const start = row.vex
      ? [...this.#addressPrefixes(), ...this.#vex(escape, opcode, wide)]
      : this.#legacy(escape, opcode);
    const bytes = [...start, ...this.#modrm, ...tail];
    if (this.#ripRelative) this.#adjust(bytes, bytes.length - tail.length - 4);
    return bytes;
  }
  #legacy(escape: string, opcode: number): number[] {
    const bytes = this.#prefixes();
    if (this.#rex || this.random.oneIn(6)) bytes.push(0x40 | this.#rex);
    for (const byte of escape.split(' ')) if (byte) bytes.push(parseInt(byte, 16));
    return [...bytes, opcode];
  }

  /** A general register; the stack pointer is rare. */
  #register(): number {
    const { random } = this;
    for (;;) {
      const register = random.below(16);
      if (register === RSP && !random.oneIn(8)) continue;
      if (this.context.pointers?.includes(register) && !random.oneIn(12)) continue;
      return register;
    }
  }

  /** ModRM, SIB and displacement. `second` is '/r', '/n', or the ModRM byte itself. */
  #operands(second: string): void {
    const { random } = this;
    if (!second.startsWith('/')) {
      this.#modrm = [parseInt(second, 16) + (second.endsWith('+i') ? random.below(8) : 0)];
      return;
    }
    const reg = second === '/r' ? this.#field() : Number(second[1]);
    this.#rex |= (reg & 8) >> 1;
    const field = (reg & 7) << 3;
    const memory = this.#memoryOnly || (!this.#registerOnly && random.oneIn(2));
    if (memory) this.#memory(field);
    else {
      const rm = this.#codes.some((code) => /^[ER]/.test(code)) ? this.#register() : random.below(16);
      this.#rex |= rm >> 3;
      this.#modrm = [0xc0 | field | (rm & 7)];
    }
  }
  #field(): number {
    if (this.#codes.includes('Sw')) return this.random.below(6);
    return this.#codes.some((code) => /^G/.test(code)) ? this.#register() : this.random.below(16);
  }

  #memory(field: number): void {
    const { random, context } = this;
    if (context.pointers) {
      const base = random.pick(context.pointers);
      this.#rex |= base >> 3;
      const displacement = random.oneIn(8) ? random.below(192) - 96 : (random.below(12) - 6) * 16;
      if ((base & 7) === RSP) this.#modrm = [0x40 | field | 4, 0x20 | (base & 7), displacement & 255];
      else this.#modrm = [0x40 | field | (base & 7), displacement & 255];
      return;
    }
    const kind = random.below(16);
    if (kind === 0) {
      // RIP-relative, into the first pages.
      this.#ripRelative = true;
      this.#modrm = [field | 5, ...bytes32(DATA + random.below(0x1f00) - context.address)];
    } else if (kind === 1) this.#modrm = [field | 4, 0x25, ...bytes32(DATA + random.below(0x1f00))];
    else if (kind === 2) {
      // Index alone.
      const index = this.#index();
      this.#modrm = [field | 4, (random.below(4) << 6) | ((index & 7) << 3) | 5, ...bytes32(random.below(0x1000) * 8)];
    } else this.#based(field, kind < 9);
  }
  #index(): number {
    let index = this.random.below(16);
    if (index === RSP) index = 12;
    this.#rex |= (index & 8) >> 2;
    return index;
  }
  #based(field: number, plain: boolean): void {
    const { random } = this;
    const base = random.below(16);
    this.#rex |= base >> 3;
    const form = random.below(4);
    const displacement =
      form === 0
        ? []
        : form === 3
          ? bytes32(random.oneIn(2) ? random.next() | 0 : random.below(4096) - 2048)
          : [random.below(256)];
    let mod = displacement.length === 0 ? 0 : displacement.length === 1 ? 0x40 : 0x80;
    if (mod === 0 && (base & 7) === 5) [mod] = [0x40, displacement.push(0)];
    if (plain && (base & 7) !== 4) this.#modrm = [mod | field | (base & 7), ...displacement];
    else {
      let index = 4;
      if (!random.oneIn(4) || (base & 7) !== 4) index = this.#index();
      // Base and index in one register: there would be no telling where it points.
      if (index === base) [index, this.#rex] = [4, this.#rex & ~2];
      this.#modrm = [mod | field | 4, (random.below(4) << 6) | ((index & 7) << 3) | (base & 7), ...displacement];
    }
  }
  /** A RIP-relative displacement, so far from the start of the instruction, counts from its end. */
  #adjust(bytes: number[], at: number): void {
    const value = (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) - bytes.length;
    bytes.splice(at, 4, ...bytes32(value));
  }

  #immediates(): number[] {
    const { random, row, size } = this;
    const bytes: number[] = [];
    for (const code of this.#codes) {
      if (code === 'Jb') bytes.push(random.below(Math.min(this.context.ahead, 127) + 1));
      else if (code === 'Jz') bytes.push(...bytes32(random.below(this.context.ahead + 1)));
      else if (code.startsWith('O')) bytes.push(...bytesOf(BigInt(DATA + random.below(0x8000)), 8));
      else {
        const count = immediateBytes(code, size);
        if (count === 1 && code === 'Ib') bytes.push(random.oneIn(2) ? random.below(8) : random.below(256));
        else if (count) bytes.push(...bytesOf(random.operand(), count));
      }
    }
    return row.op === 'enter' ? [random.below(64), 0, random.below(5)] : bytes;
  }

  get #isMemory(): boolean {
    return this.#modrm.length > 0 && this.#modrm[0]! < 0xc0;
  }
  #addressPrefixes(): number[] {
    const { random, row } = this;
    const prefixes: number[] = [];
    const memory = this.#isMemory || row.rep || this.#codes.some((code) => /^[XYO]/.test(code));
    if (!memory) return prefixes;
    // Absolute addresses are 8 bytes only without 67.
    if (random.oneIn(10) && !this.#codes.some((code) => code.startsWith('O'))) prefixes.push(0x67);
    if (random.oneIn(12)) prefixes.push(random.pick([0x64, 0x65]));
    else if (random.oneIn(24)) prefixes.push(random.pick([0x26, 0x2e, 0x36, 0x3e]));
    return prefixes;
  }
  #prefixes(): number[] {
    const { random, row, size } = this;
    const prefixes = this.#addressPrefixes();
    const lockable = row.lock === true && this.#isMemory;
    if (lockable ? random.oneIn(4) : random.oneIn(400)) prefixes.push(0xf0);
    if ((row.sizes?.length ?? 0) > 1 && size === 2 && row.prefix !== '66') prefixes.push(0x66);
    if (row.rep && random.oneIn(2)) prefixes.push(row.rep === 'rep' ? 0xf3 : random.pick([0xf2, 0xf3]));
    if (random.oneIn(2)) prefixes.reverse();
    if (row.prefix && row.prefix !== 'NP') prefixes.push(PREFIX_BYTE[row.prefix]!);
    else if (row.prefix === undefined && !row.rep && !row.branch && !row.lock && random.oneIn(40))
      prefixes.unshift(random.pick([0xf2, 0xf3, 0x3e]));
    return prefixes;
  }

  #vex(escape: string, opcode: number, wide: boolean): number[] {
    const { random, row } = this;
    const map = escape === '0F ' ? 1 : escape === '0F 38 ' ? 2 : 3;
    const pp = ['NP', '66', 'F3', 'F2'].indexOf(row.prefix ?? 'NP');
    const sized = (row.sizes?.length ?? 0) > 1;
    const w = row.w ?? (sized ? Number(wide) : random.below(2));
    const l = row.vex === 'L1' || (row.vex === 'LIG' && random.oneIn(2)) ? 4 : 0;
    const low = (this.#vvvv << 3) | l | pp;
    if (map === 1 && w === 0 && (this.#rex & 3) === 0 && random.oneIn(2))
      return [0xc5, ((~this.#rex & 4) << 5) | low, opcode];
    return [0xc4, ((~this.#rex & 7) << 5) | map, (w << 7) | low, opcode];
  }
}

/** One instruction: a row of the instruction table, a size and operands to bytes (SDM 2A chapter 2). */
import type { OpcodeRow } from '../cpu/table/row.ts';
import { littleEndian } from '../elf/bytes.ts';
import { number } from './expression.ts';
import { AssemblyError } from './model.ts';
import type { AssemblyOperand, CodeBits, Expression, MemoryReference } from './model.ts';
import { GPR_BYTES, isOnlyWide } from './registers.ts';
import type { Register, RegisterClass } from './registers.ts';

/** A field of an encoded instruction that an expression fills; offsets from the instruction's first byte. */
export interface EncodedField {
  readonly offset: number;
  readonly size: 1 | 2 | 4 | 8;
  readonly kind: 'absolute' | 'signed' | 'relative' | 'branch' | 'near';
  readonly expression: Expression;
  /** As in Fixup. */
  readonly relaxable?: 'rex' | 'plain' | undefined;
}

export interface Encoded {
  readonly bytes: number[];
  readonly fields: EncodedField[];
}

export interface Choice {
  readonly row: OpcodeRow;
  /** Operand size in bytes. */
  readonly size: number;
  readonly condition: number;
  /** One for each operand code of the row; undefined where the operand is implicit. */
  readonly operands: readonly (AssemblyOperand | undefined)[];
  /** Segment override, LOCK, REP and the like, as written before the mnemonic. */
  readonly prefixes: readonly number[];
  readonly bits: CodeBits;
}

const SEGMENT_PREFIX = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
const MANDATORY: Readonly<Record<string, number>> = { '66': 0x66, F2: 0xf2, F3: 0xf3 };
const VEX_PP: Readonly<Record<string, number>> = { NP: 0, '66': 1, F3: 2, F2: 3 };
const MAPS = ['', '0F ', '0F 38 ', '0F 3A '];

/** What of an encoding the row's string says. */
interface Opcode {
  readonly map: number;
  readonly opcode: number;
  /** ModRM.reg, a whole ModRM byte, or undefined. */
  readonly digit: number | undefined;
  readonly modrm: number | undefined;
  /** `+i` on the ModRM byte. */
  readonly stack: boolean;
  readonly hasModrm: boolean;
}

const opcodes = new Map<string, Opcode>();

function opcodeOf({ encoding }: OpcodeRow): Opcode {
  let known = opcodes.get(encoding);
  if (known) return known;
  const escape = /^0F (38 |3A )?/.exec(encoding)?.[0] ?? '';
  const [first, second] = encoding.slice(escape.length).split(' ') as [string, string | undefined];
  const exact = second !== undefined && !second.startsWith('/');
  known = {
    map: MAPS.indexOf(escape),
    opcode: parseInt(first, 16),
    digit: second !== undefined && /^\/\d/.test(second) ? Number(second[1]) : undefined,
    modrm: exact ? parseInt(second, 16) : undefined,
    stack: second?.endsWith('+i') ?? false,
    hasModrm: second !== undefined,
  };
  opcodes.set(encoding, known);
  return known;
}

/** RDRAND, RDSEED and MOVBE, whose rows name the prefix that gives their size. */
const SIZED_BY_66 = /^(rdrand|rdseed|movbe)$/;
/** By ModRM.rm. */
const SHORT_ADDRESSES = ['bx+si', 'bx+di', 'bp+si', 'bp+di', 'si', 'di', 'bp', 'bx'];

const isNumber = (expression: Expression, value: bigint): boolean =>
  expression.kind === 'number' && expression.value === value;

/** Where an operand goes, by its code. */
type Place = 'reg' | 'rm' | 'vvvv' | 'opcode' | 'stack' | 'is4' | 'immediate' | 'branch' | 'moffs' | 'none';

function placeOf(code: string): Place {
  if (code === 'sti') return 'stack';
  if (/^(st0|AL|AX|eAX|rAX|CL|DX|1|xmm0|[ECSDFG]S|X|Y|Xbx|Xdi|Kx|Kqq)$/.test(code)) return 'none';
  if (/^I/.test(code)) return 'immediate';
  if (/^[JA]/.test(code)) return 'branch';
  if (code.startsWith('O')) return 'moffs';
  if (/^[EMRWUQN]/.test(code)) return 'rm';
  if (/^[GVPSCD]/.test(code)) return 'reg';
  if (/^[BH]/.test(code)) return 'vvvv';
  return code.startsWith('Z') ? 'opcode' : 'is4';
}

/** Bytes of an immediate operand. */
export function immediateBytes(code: string, size: number): 1 | 2 | 4 | 8 {
  if (code === 'Iw') return 2;
  if (code === 'Iz') return size === 2 ? 2 : 4;
  if (code === 'Iv') return size as 2 | 4 | 8;
  return 1;
}

function registerOf(operand: AssemblyOperand | undefined): Register | undefined {
  return operand?.kind === 'register' ? operand.register : undefined;
}

/** REX bits that a choice needs, and whether a REX prefix must or must not be there. */
interface Rex {
  bits: number;
  needed: boolean;
  refused: Register | undefined;
}

class Encoding {
  readonly bytes: number[] = [];
  readonly fields: EncodedField[] = [];
  readonly #opcode: Opcode;
  readonly #places: readonly Place[];
  readonly #rex: Rex = { bits: 0, needed: false, refused: undefined };
  #reg = 0;
  #rm: AssemblyOperand | undefined;
  #vvvv = 0;
  #opcodeRegister = 0;
  #addressBits: CodeBits;

  constructor(readonly choice: Choice) {
    this.#opcode = opcodeOf(choice.row);
    this.#places = (choice.row.operands ?? []).map(placeOf);
    this.#addressBits = choice.bits;
  }

  encode(): Encoded {
    this.#placeOperands();
    this.#prefixes();
    this.#opcodeAndModrm();
    this.#trailing();
    return { bytes: this.bytes, fields: this.fields };
  }

  #placeOperands(): void {
    const { row, operands } = this.choice;
    this.#reg = this.#opcode.digit ?? 0;
    operands.forEach((operand, index) => {
      const register = registerOf(operand);
      if (register) this.#checkMode(register);
      const place = this.#places[index]!;
      if (register && GPR_BYTES[register.class] === 1) {
        if (register.needsRex) this.#rex.needed = true;
        if (register.high) this.#rex.refused = register;
      }
      if (place === 'reg') this.#reg = this.#extended(register!, 4);
      else if (place === 'opcode') this.#opcodeRegister = this.#extended(register!, 1);
      else if (place === 'vvvv') this.#vvvv = register!.number;
      else if (place === 'stack') this.#opcodeRegister = register?.number ?? 1;
      else if (place === 'rm') {
        this.#rm = operand;
        if (register) this.#extended(register, 1);
      }
      if (operand?.kind === 'memory') this.#memoryPrefixes(operand);
    });
    if (row.operands?.includes('st0') && !this.#places.includes('stack')) this.#opcodeRegister = 0;
  }
  /** The low three bits; the fourth goes into REX. */
  #extended({ number: value }: Register, bit: number): number {
    if (value & 8) this.#rex.bits |= bit;
    return value & 7;
  }
  #memoryPrefixes({ base, index }: MemoryReference): void {
    if (base && base.class !== 'ip64' && base.number & 8) this.#rex.bits |= 1;
    if (index && index.number & 8) this.#rex.bits |= 2;
    if (base) this.#checkMode(base);
    if (index) this.#checkMode(index);
    const isOf = (width: RegisterClass): boolean => base?.class === width || index?.class === width;
    if (isOf('r32') || isOf('ip32')) this.#addressBits = 32;
    else if (isOf('r16') && base?.name !== 'dx') this.#addressBits = 16;
  }
  #checkMode(register: Register): void {
    const { bits } = this.choice;
    if (bits !== 64 && isOnlyWide(register))
      throw new AssemblyError(`%${register.name} does not exist in ${bits}-bit code`);
  }

  /** Whether the operand size is chosen by prefixes. */
  get #isSized(): boolean {
    return (this.choice.row.sizes ?? [0]).length > 1 && !this.#isCounted;
  }
  /** LOOP and JRCXZ: their size is that of the address. */
  get #isCounted(): boolean {
    return /^(loop|jrcxz)/.test(this.choice.row.op);
  }
  /** Whether prefix 66 makes the operands of 16 bits, or of 32 in 16-bit code. */
  get #isSizedBy66(): boolean {
    const { row } = this.choice;
    if (!this.#isSized) return false;
    return row.sizes!.includes(2) || SIZED_BY_66.test(row.op);
  }

  #prefixes(): void {
    const { row, size, operands, prefixes, bits } = this.choice;
    const legacy = { 0x66: false, 0xf2: false, 0xf3: false, 0xf0: false };
    for (const prefix of prefixes) {
      if (prefix in legacy) legacy[prefix as keyof typeof legacy] = true;
      else if (prefix === 0x67) this.#addressBits = bits === 32 ? 16 : 32;
      else if (prefix >= 0x40 && prefix < 0x50) {
        if (bits !== 64) throw new AssemblyError(`there is no REX prefix in ${bits}-bit code`);
        this.#rex.bits |= prefix & 15;
        this.#rex.needed = true;
      } else this.bytes.push(prefix);
    }
    const memory = operands.find((operand) => operand?.kind === 'memory');
    if (memory?.kind === 'memory' && memory.segment !== undefined && !isDefaultSegment(memory))
      this.bytes.push(SEGMENT_PREFIX[memory.segment]!);
    if (this.#isCounted && size !== bits / 8) this.#addressBits = size === 4 ? 32 : 16;
    if (this.#addressBits !== bits) this.bytes.push(0x67);
    const isWide = this.#isSized && size === 8 && !row.default64;
    if (row.vex) return this.#vex(isWide);
    const mandatory = this.#isSizedBy66 && row.prefix === '66' ? undefined : MANDATORY[row.prefix ?? ''];
    if (mandatory !== undefined) legacy[mandatory as keyof typeof legacy] = true;
    if (this.#isSizedBy66 && size === (bits === 16 ? 4 : 2)) legacy[0x66] = true;
    for (const prefix of [0x66, 0xf2, 0xf3, 0xf0] as const) if (legacy[prefix]) this.bytes.push(prefix);
    if (isWide) this.#rex.bits |= 8;
    if (!this.#rex.bits && !this.#rex.needed) return;
    const { refused } = this.#rex;
    if (refused) throw new AssemblyError(`%${refused.name} cannot stand in an instruction that needs a REX prefix`);
    this.bytes.push(0x40 | this.#rex.bits);
  }
  #vex(isWide: boolean): void {
    const { row } = this.choice;
    const w = (row.w ?? (isWide ? 1 : 0)) << 7;
    const rest = ((~this.#vvvv & 15) << 3) | (row.vex === 'L1' ? 4 : 0) | VEX_PP[row.prefix ?? 'NP']!;
    const inverted = (~this.#rex.bits & 7) << 5;
    if (this.#opcode.map === 1 && w === 0 && (this.#rex.bits & 3) === 0)
      this.bytes.push(0xc5, (inverted & 0x80) | rest);
    else this.bytes.push(0xc4, inverted | this.#opcode.map, w | rest);
  }

  #opcodeAndModrm(): void {
    const { row, condition } = this.choice;
    const { map, opcode, modrm, stack, hasModrm } = this.#opcode;
    if (!row.vex) {
      if (map > 0) this.bytes.push(0x0f);
      if (map > 1) this.bytes.push(map === 2 ? 0x38 : 0x3a);
    }
    const isPlus = row.encoding.includes('+r');
    this.bytes.push(opcode + (row.encoding.includes('+cc') ? condition : isPlus ? this.#opcodeRegister : 0));
    if (modrm !== undefined)
      this.bytes.push(modrm + (stack && this.#places.includes('stack') ? this.#opcodeRegister : 0));
    else if (hasModrm) this.#modrm();
  }
  #modrm(): void {
    const reg = this.#reg << 3;
    const rm = this.#rm;
    if (rm?.kind === 'register') this.bytes.push(0xc0 | reg | (rm.register.number & 7));
    else if (rm?.kind === 'memory') this.#address(rm, reg);
    else this.bytes.push(0xc0 | reg);
  }

  #address(memory: MemoryReference, reg: number): void {
    const { base, index } = memory;
    const displacement = memory.displacement ?? number(0);
    if (base?.class === 'ip64' || base?.class === 'ip32') {
      this.bytes.push(reg | 5);
      return this.#displacement(displacement, 4, 'relative');
    }
    if (this.#addressBits === 16) return this.#shortAddress(memory, displacement, reg);
    const kind = this.choice.bits === 64 ? 'signed' : 'absolute';
    if (!base && !index && this.choice.bits !== 64) {
      this.bytes.push(reg | 5);
      return this.#displacement(displacement, 4, kind);
    }
    const needsSib = index !== undefined || base === undefined || (base.number & 7) === 4;
    const scale = Math.log2(memory.scale) << 6;
    const sib = scale | ((index ? index.number & 7 : 4) << 3) | (base ? base.number & 7 : 5);
    if (!base) {
      this.bytes.push(reg | 4, sib);
      return this.#displacement(displacement, 4, kind);
    }
    const isZero = isNumber(displacement, 0n) && (base.number & 7) !== 5;
    const isByte = this.#isByte(displacement, 32);
    const mod = isZero ? 0 : isByte ? 0x40 : 0x80;
    this.bytes.push(mod | reg | (needsSib ? 4 : base.number & 7));
    if (needsSib) this.bytes.push(sib);
    if (!isZero) this.#displacement(displacement, isByte ? 1 : 4, kind);
  }
  /** SDM 2A table 2-1. */
  #shortAddress({ base, index }: MemoryReference, displacement: Expression, reg: number): void {
    if (!base) {
      this.bytes.push(reg | 6);
      return this.#displacement(displacement, 2, 'absolute');
    }
    const rm = SHORT_ADDRESSES.indexOf(index ? `${base.name}+${index.name}` : base.name);
    const isZero = isNumber(displacement, 0n) && rm !== 6;
    const isByte = this.#isByte(displacement, 16);
    this.bytes.push((isZero ? 0 : isByte ? 0x40 : 0x80) | reg | rm);
    if (!isZero) this.#displacement(displacement, isByte ? 1 : 2, 'absolute');
  }
  /** In other than 64-bit code FFFF... is -1. */
  #isByte(displacement: Expression, width: 16 | 32): boolean {
    if (displacement.kind !== 'number') return false;
    const value = this.choice.bits === 64 ? displacement.value : BigInt.asIntN(width, displacement.value);
    return value >= -128n && value <= 127n;
  }
  #displacement(expression: Expression, size: 1 | 2 | 4, kind: 'relative' | 'signed' | 'absolute'): void {
    this.#field(expression, size, kind);
  }
  /** A number now, or a field to be filled later. */
  #field(expression: Expression, size: 1 | 2 | 4 | 8, kind: EncodedField['kind']): void {
    // A number before (%rip) is the displacement itself; a branch to a number goes to that address.
    const isKnown = expression.kind === 'number' && kind !== 'branch' && kind !== 'near';
    const relaxable = kind === 'relative' ? this.#relaxable() : undefined;
    if (!isKnown) this.fields.push({ offset: this.bytes.length, size, kind, expression, relaxable });
    this.bytes.push(...littleEndian(isKnown ? expression.value : 0n, size));
  }

  /** MOV, TEST and arithmetic of a register with memory, CALL and JMP (AMD64 supplement, B.2). */
  #relaxable(): 'rex' | 'plain' | undefined {
    const { map, opcode, digit } = this.#opcode;
    const { row, size } = this.choice;
    const isArithmetic = (opcode & ~0x38) === 0x03 || opcode === 0x85 || opcode === 0x8b;
    const isTransfer = opcode === 0xff && (digit === 2 || digit === 4);
    if (map !== 0 || row.vex || size === 2 || !(isArithmetic || isTransfer)) return undefined;
    return this.#rex.bits || this.#rex.needed ? 'rex' : 'plain';
  }

  #trailing(): void {
    const { row, size, operands, bits } = this.choice;
    operands.forEach((operand, index) => {
      const code = row.operands![index]!;
      const place = this.#places[index]!;
      if (place === 'is4') this.bytes.push(registerOf(operand)!.number << 4);
      else if (place === 'moffs')
        this.#field(
          (operand as MemoryReference).displacement ?? number(0),
          (this.#addressBits / 8) as 2 | 4 | 8,
          'absolute',
        );
      else if (place === 'branch' && operand?.kind === 'target')
        this.#field(operand.target, code === 'Jb' ? 1 : size === 2 ? 2 : 4, bits === 64 ? 'branch' : 'near');
      else if (place === 'immediate' && operand?.kind === 'immediate') {
        const bytes = immediateBytes(code, size);
        this.#field(operand.value, bytes, size === 8 && bytes === 4 ? 'signed' : 'absolute');
      }
    });
  }
}

/** DS, or SS where the base is RSP or RBP: writing them changes nothing, and GNU as leaves the prefix out too. */
function isDefaultSegment({ segment, base }: MemoryReference): boolean {
  const usesStack =
    base !== undefined && (/^r(32|64)$/.test(base.class) ? base.number === 4 || base.number === 5 : base.name === 'bp');
  return segment === (usesStack ? 2 : 3);
}

/** Throws an AssemblyError for what cannot be encoded. */
export function encode(choice: Choice): Encoded {
  return new Encoding(choice).encode();
}

/** Random encodings of a table row, with registers that make their memory operands fall into the window. */
import type { OpcodeRow } from '../../../emulator/cpu/table/row.ts';
import { caseAddress, initialFx, WINDOW, WINDOW_BYTES } from './case.ts';
import type { TestCase } from './case.ts';
import { Random } from './random.ts';
import { hasUndefinedResult, undefinedFlags } from './undefined-flags.ts';
import { decode } from '../../../emulator/cpu/decode.ts';
import type { DecodedInstruction } from '../../../emulator/cpu/decode.ts';

const RSP = 4;
const CF_TO_OF = [0x001, 0x004, 0x010, 0x040, 0x080, 0x800];
const INTERRUPTS_ENABLED = 0x202;
const DIRECTION = 0x400;
/** Where memory operands begin: room for stacks and strings on both sides. */
const MIDDLE = WINDOW + WINDOW_BYTES / 2;

/** Bytes of an immediate operand code. */
function immediateBytes(code: string, size: number): number {
  if (code === 'Ib' || code === 'Ibs') return 1;
  if (code === 'Iw') return 2;
  if (code === 'Iz') return Math.min(size, 4);
  return code === 'Iv' ? size : 0;
}

class Encoder {
  readonly gpr: BigUint64Array;
  #rex = 0;
  #modrm: number[] = [];

  constructor(
    readonly random: Random,
    readonly row: OpcodeRow,
    readonly size: number,
  ) {
    this.gpr = BigUint64Array.from({ length: 16 }, () => random.operand());
    this.gpr[RSP] = BigInt(MIDDLE + 8 * random.below(8));
    this.#implicitOperands();
  }

  /** Registers that an instruction uses without naming them. */
  #implicitOperands(): void {
    const { gpr, random, row } = this;
    const pointer = () => BigInt(MIDDLE - 64 + random.below(128));
    if (/^(movs|stos|lods|cmps|scas)$/.test(row.op)) {
      gpr[1] = BigInt(random.below(9));
      gpr[6] = pointer();
      gpr[7] = random.oneIn(3) ? gpr[6] + BigInt(random.below(17) - 8) : pointer();
    }
    if (row.op === 'xlat') gpr[3] = pointer();
    if (row.op === 'leave' || row.op === 'enter') gpr[5] = pointer();
    if (/^i?div$/.test(row.op) && random.oneIn(2)) {
      // A dividend that only extends the accumulator divides without #DE more often.
      gpr[2] = random.oneIn(2) ? 0n : BigInt.asUintN(64, BigInt.asIntN(64, gpr[0]!) >> 63n);
    }
  }

  /** ModRM with a register or a memory operand; `reg` is 0..15. */
  #address(reg: number, memory: boolean): void {
    const { random, gpr } = this;
    this.#rex |= (reg & 8) >> 1;
    const field = (reg & 7) << 3;
    if (!memory) {
      const rm = random.below(16);
      this.#rex |= rm >> 3;
      this.#modrm = [0xc0 | field | (rm & 7)];
      return;
    }
    const target = BigInt(MIDDLE + random.below(64) - 32);
    const displacement = random.oneIn(2) ? random.below(256) - 128 : random.next() | 0;
    const small = displacement >= -128 && displacement < 128;
    const tail = small ? [displacement & 255] : bytesOf(BigInt(displacement), 4);
    const mod = small ? 0x40 : 0x80;
    // RSP and the registers that the instruction needs for itself cannot be changed to point somewhere.
    const free = [3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    const base = random.pick(free);
    this.#rex |= base >> 3;
    if (random.oneIn(2) && (base & 7) !== 4) {
      gpr[base] = BigInt.asUintN(64, target - BigInt(displacement));
      this.#modrm = [mod | field | (base & 7), ...tail];
      return;
    }
    const index = random.pick(free.filter((register) => register !== base));
    const scale = random.below(4);
    this.#rex |= (index & 8) >> 2;
    gpr[base] = BigInt.asUintN(64, target - BigInt(displacement) - (gpr[index]! << BigInt(scale)));
    this.#modrm = [mod | field | 4, (scale << 6) | ((index & 7) << 3) | (base & 7), ...tail];
  }

  encode(): Uint8Array {
    const { gpr, random, row, size } = this;
    const codes = row.operands ?? [];
    const tokens = row.encoding.split(' ');
    const last = tokens.at(-1)!;
    const opcode = tokens.filter((token) => !token.startsWith('/')).map((token) => parseInt(token, 16));
    if (/\+r$|\+cc$/.test(tokens.find((token) => token.includes('+')) ?? '')) {
      const number = random.below(16);
      const isRegister = row.encoding.includes('+r');
      if (isRegister) this.#rex |= number >> 3;
      opcode[opcode.length - 1]! += isRegister ? number & 7 : number;
    }
    if (last.startsWith('/')) {
      const memoryOnly = codes.some((code) => code.startsWith('M'));
      const reg = last === '/r' ? random.below(16) : Number(last[1]);
      this.#address(reg, memoryOnly || random.oneIn(2));
    }
    const hasSizes = (row.sizes?.length ?? 0) > 1;
    if (hasSizes && size === 8 && !row.default64) this.#rex |= 8;
    this.#bitOffset(codes);
    if (row.vex) return this.#vex(opcode, codes);
    const prefixes: number[] = [];
    const memory = this.#modrm.length > 0 && this.#modrm[0]! < 0xc0;
    if ((memory || row.rep) && random.oneIn(8)) {
      // 32-bit addresses: what stands above bit 31 must not matter.
      prefixes.push(0x67);
      if (row.rep) for (const register of [1, 6, 7]) gpr[register] = gpr[register]! | (random.bits64() << 32n);
    }
    if (row.lock && memory && random.oneIn(4)) prefixes.push(0xf0);
    if (hasSizes && size === 2 && row.prefix !== '66') prefixes.push(0x66);
    if (row.rep && random.oneIn(2)) prefixes.push(row.rep === 'rep' ? 0xf3 : random.pick([0xf2, 0xf3]));
    if (row.prefix && row.prefix !== 'NP') prefixes.push(parseInt(row.prefix, 16));
    if (this.#rex || random.oneIn(4)) prefixes.push(0x40 | this.#rex);
    const immediates = codes.flatMap((code) => bytesOf(random.operand(), immediateBytes(code, size)));
    if (row.op === 'enter') immediates.splice(0, 3, random.below(64), 0, random.below(4));
    return Uint8Array.from([...prefixes, ...opcode, ...this.#modrm, ...immediates]);
  }

  /** In the three-byte form. */
  #vex(opcode: readonly number[], codes: readonly string[]): Uint8Array {
    const { random, row } = this;
    const map = opcode.length === 2 ? 1 : opcode[1] === 0x38 ? 2 : 3;
    const pp = ['NP', '66', 'F3', 'F2'].indexOf(row.prefix!);
    const vvvv = codes.some((code) => /^[BH]/.test(code)) ? random.below(16) : 15;
    const w = row.w ?? (this.#rex >> 3) & 1;
    const l = row.vex === 'L1' || (row.vex === 'LIG' && random.oneIn(2)) ? 4 : 0;
    const bytes = [0xc4, ((~this.#rex & 7) << 5) | map, (w << 7) | (vvvv << 3) | l | pp, opcode.at(-1)!];
    return Uint8Array.from([...bytes, ...this.#modrm, ...(codes.includes('Ib') ? [random.below(256)] : [])]);
  }

  /** BT with a register offset into memory: the offset reaches beyond the operand, so keep it in the window. */
  #bitOffset(codes: readonly string[]): void {
    if (!/^bt/.test(this.row.op) || codes[1] !== 'Gv' || this.#modrm[0]! >= 0xc0) return;
    const register = ((this.#modrm[0]! >> 3) & 7) | ((this.#rex & 4) << 1);
    const offset = BigInt(this.random.below(1024) - 512);
    const high = this.size === 8 ? 0n : this.random.bits64() << BigInt(this.size * 8);
    const value = BigInt.asUintN(64, high | BigInt.asUintN(this.size * 8, offset));
    // If it is also part of the address, the address stays and the offset is whatever it is: leave such cases out.
    this.gpr[register] = value;
  }
}

function bytesOf(value: bigint, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Number(BigInt.asUintN(8, value >> BigInt(i * 8))));
}

/** Linear address of the memory operand with these registers, or undefined if it has none. */
function operandAddress(code: Uint8Array, gpr: BigUint64Array): bigint | undefined {
  const operand = decode(code, 0, 0n, 2)?.operands.find((candidate) => candidate.kind === 'memory');
  if (operand?.kind !== 'memory') return undefined;
  const base = operand.base < 0 ? 0n : gpr[operand.base]!;
  const index = operand.index < 0 ? 0n : gpr[operand.index]! << BigInt(operand.scale);
  return BigInt.asUintN(operand.addressSize, base + index + operand.displacement);
}

/** Split locks are slow, and refused on some hosts. */
const locks = (instruction: DecodedInstruction) => instruction.lock || instruction.op === 'xchg';

/** A random case of a row in one of its sizes; undefined if chance made one that is of no use. */
export function generate(random: Random, row: OpcodeRow, size: number): TestCase | undefined {
  const encoder = new Encoder(random, row, size);
  const code = encoder.encode();
  const { gpr } = encoder;
  const instruction = decode(code, 0, BigInt(caseAddress(0)), 2);
  if (!instruction || instruction.length !== code.length) return undefined;
  const address = operandAddress(code, gpr);
  const needsMemory = instruction.op !== 'lea' && instruction.op !== 'nop';
  if (
    needsMemory &&
    address !== undefined &&
    (address < BigInt(WINDOW + 160) || address > BigInt(WINDOW + WINDOW_BYTES - 160))
  )
    return undefined;
  if (hasUndefinedResult(instruction, gpr)) return undefined;
  if (address !== undefined && locks(instruction) && Number(address & 63n) + 2 * size > 64) return undefined;
  if (instruction.operands.some((operand) => operand.kind === 'gpr' && operand.register === RSP) && row.op === 'pop')
    return undefined;
  let rflags = INTERRUPTS_ENABLED;
  for (const flag of CF_TO_OF) if (random.oneIn(2)) rflags |= flag;
  if (row.rep && random.oneIn(3)) rflags |= DIRECTION;
  const registers = { gpr, rflags, fx: initialFx() };
  return {
    name: `${instruction.op}/${size}`,
    code,
    registers,
    window: random.bytes(WINDOW_BYTES),
    undefinedFlags: undefinedFlags(instruction, gpr),
  };
}

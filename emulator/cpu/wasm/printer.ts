/** WebAssembly function bodies as text, for people (translated regions: scripts/dump-region.ts). */
import { LANE_OPCODES, MEMORY_OPCODES, OP_SHUFFLE, OP_V128_CONST, OPCODES, TYPE_CODES } from './opcodes.ts';

export interface WasmLine {
  /** Offset of the instruction in the body. */
  readonly offset: number;
  /** Open constructs around it. */
  readonly depth: number;
  readonly text: string;
}

const VOID = 0x40;
const PLAIN: Readonly<Record<number, string>> = {
  0x00: 'unreachable',
  0x01: 'nop',
  0x0f: 'return',
  0x1a: 'drop',
  0x1b: 'select',
};
const OPENING: Readonly<Record<number, string>> = { 0x02: 'block', 0x03: 'loop', 0x04: 'if' };
const INDEXED: Readonly<Record<number, string>> = {
  0x0c: 'br',
  0x0d: 'br_if',
  0x10: 'call',
  0x20: 'local.get',
  0x21: 'local.set',
  0x22: 'local.tee',
  0x23: 'global.get',
  0x24: 'global.set',
};

const names = new Map<number, string>();
for (const [name, { prefix, code }] of OPCODES) names.set(prefix * 0x10000 + code, name);
const lanes = new Map<number, string>();
for (const [name, { code }] of LANE_OPCODES) lanes.set(code, name);
const memory = new Map<number, string>();
for (const [name, code] of Object.entries(MEMORY_OPCODES)) memory.set(code, name);
const types = new Map<number, string>();
for (const [name, code] of Object.entries(TYPE_CODES)) types.set(code, name);

class Reader {
  at = 0;
  readonly #view: DataView;
  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  byte(): number {
    return this.bytes[this.at++]!;
  }
  unsigned(): number {
    return Number(BigInt.asUintN(32, this.signed(false)));
  }
  signed(extend = true): bigint {
    let value = 0n;
    let shift = 0n;
    for (;;) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte & 0x80) continue;
      return extend && byte & 0x40 ? value - (1n << shift) : value;
    }
  }
  float(bytes: 4 | 8): number {
    const value = bytes === 4 ? this.#view.getFloat32(this.at, true) : this.#view.getFloat64(this.at, true);
    this.at += bytes;
    return value;
  }
  take(count: number): number[] {
    return Array.from({ length: count }, () => this.byte());
  }
}

/** @param functionName names an imported function, which `call` shows */
export function printBody(body: Uint8Array, functionName: (index: number) => string): WasmLine[] {
  const reader = new Reader(body);
  const lines: WasmLine[] = [];
  let depth = 0;
  while (reader.at < body.length) {
    const offset = reader.at;
    const opcode = reader.byte();
    if (opcode === 0x0b || opcode === 0x05) depth--;
    const text = instruction(reader, opcode, functionName);
    lines.push({ offset, depth, text });
    if (opcode in OPENING || opcode === 0x05) depth++;
  }
  return lines;
}

function instruction(reader: Reader, opcode: number, functionName: (index: number) => string): string {
  if (opcode === 0x0b) return 'end';
  if (opcode === 0x05) return 'else';
  const opening = OPENING[opcode];
  if (opening) {
    const type = reader.byte();
    return type === VOID ? opening : `${opening} (result ${types.get(type)})`;
  }
  if (opcode === 0x10) return `call $${functionName(reader.unsigned())}`;
  const indexed = INDEXED[opcode];
  if (indexed) return `${indexed} ${reader.unsigned()}`;
  const plain = PLAIN[opcode];
  if (plain) return plain;
  if (opcode === 0x0e)
    return `br_table ${Array.from({ length: reader.unsigned() + 1 }, () => reader.unsigned()).join(' ')}`;
  if (opcode === 0x11) return `call_indirect ${reader.unsigned()} ${reader.unsigned()}`;
  if (opcode === 0x1c) return `select (result ${types.get(reader.take(2)[1]!)})`;
  if (opcode === 0x41) return `i32.const ${reader.signed()}`;
  if (opcode === 0x42) return `i64.const ${hexIfLarge(reader.signed())}`;
  if (opcode === 0x43) return `f32.const ${reader.float(4)}`;
  if (opcode === 0x44) return `f64.const ${reader.float(8)}`;
  if (opcode === 0xfc || opcode === 0xfd) return prefixed(reader, opcode, reader.unsigned());
  return memory.has(opcode) ? access(reader, memory.get(opcode)!) : (names.get(opcode) ?? `? ${opcode.toString(16)}`);
}

function prefixed(reader: Reader, prefix: number, code: number): string {
  if (prefix === 0xfd) {
    if (code === OP_V128_CONST) return `v128.const i8x16 ${reader.take(16).join(' ')}`;
    if (code === OP_SHUFFLE) return `i8x16.shuffle ${reader.take(16).join(' ')}`;
    const lane = lanes.get(code);
    if (lane) return `${lane} ${reader.byte()}`;
    const name = memory.get((prefix << 8) | code);
    if (name) return access(reader, name);
  }
  return names.get(prefix * 0x10000 + code) ?? `? ${prefix.toString(16)} ${code}`;
}

function access(reader: Reader, name: string): string {
  reader.unsigned();
  const offset = reader.unsigned();
  return offset === 0 ? name : `${name} offset=0x${offset.toString(16)}`;
}

function hexIfLarge(value: bigint): string {
  return value > -0x10000n && value < 0x10000n ? String(value) : `0x${BigInt.asUintN(64, value).toString(16)}`;
}

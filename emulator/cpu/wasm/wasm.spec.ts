import assert from 'node:assert/strict';
import { LANE_OPCODES, OPCODES } from './opcodes.ts';
import { buildModule, exportedSignatures } from './module.ts';
import type { FunctionType } from './module.ts';
import { i32Const, i64Const, memoryInstruction, signedLeb, unsignedLeb, Writer } from './writer.ts';

describe('wasm writer', () => {
  it('encodes LEB128 as the specification does', () => {
    assert.deepEqual(unsignedLeb(624485), [0xe5, 0x8e, 0x26]);
    assert.deepEqual(signedLeb(-123456n), [0xc0, 0xbb, 0x78]);
    assert.deepEqual(i32Const(-1), [0x41, 0x7f]);
    assert.deepEqual(i64Const(0xffff_ffff_ffff_ffffn), [0x42, 0x7f]);
  });

  it('every numeric instruction validates with the operands its name implies', () => {
    const scalar = (name: string): string => name.slice(0, name.indexOf('.'));
    for (const [name, opcode] of OPCODES) {
      const w = new Writer();
      const operand = operandType(name, scalar(name));
      for (let index = 0; index < arity(name); index++)
        w.localGet(index > 0 && /\.sh[lr]/.test(name) && operand === 'v128' ? 4 : typeNumber[operand]!);
      if (opcode.prefix) w.byte(opcode.prefix);
      w.unsigned(opcode.code);
      w.bytes([0x21, LOCAL]);
      const type: FunctionType = { parameters: ['v128', 'i64', 'f32', 'f64', 'i32'], results: [] };
      const bytes = buildModule({
        imports: [],
        memory: { module: 'e', name: 'm', pages: 1 },
        functions: [{ type, locals: [opcode.result], body: w.finish() }],
      });
      assert.ok(WebAssembly.validate(bytes as BufferSource), name);
    }
    assert.equal(LANE_OPCODES.get('f64x2.replace_lane')!.code, 34);
  });

  it('builds a module that runs, and reads its signatures back', () => {
    const type: FunctionType = { parameters: ['i32', 'i64'], results: ['i64'] };
    const w = new Writer();
    w.localGet(0);
    w.bytes(memoryInstruction('i64.load', 8));
    w.localGet(1);
    w.plain(OPCODES.get('i64.add')!.code);
    const bytes = buildModule({
      imports: [],
      memory: { module: 'env', name: 'memory', pages: 1 },
      table: { entries: 4, offset: 2, elements: [0] },
      functions: [{ type, locals: [], body: w.finish(), export: 'sum' }],
    });
    const memory = new WebAssembly.Memory({ initial: 1 });
    new DataView(memory.buffer).setBigUint64(24, 40n, true);
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource), { env: { memory } });
    assert.equal((instance.exports.sum as (a: number, b: bigint) => bigint)(16, 2n), 42n);
    assert.equal((instance.exports.table as WebAssembly.Table).get(2), instance.exports.sum);
    assert.deepEqual(exportedSignatures(bytes).get('sum'), type);
  });
});

/** Storing into a local of the declared result type proves that type. */
const LOCAL = 5;
const typeNumber: Record<string, number> = { v128: 0, i64: 1, f32: 2, f64: 3, i32: 4 };

function arity(name: string): number {
  if (/bitselect/.test(name)) return 3;
  if (
    /(eqz|clz|ctz|popcnt|abs|neg|ceil|floor|sqrt|\.trunc|nearest|wrap|extend|convert|demote|promote|reinterpret|splat|\.not|_true|bitmask|pairwise)/.test(
      name,
    )
  )
    return 1;
  return 2;
}

function operandType(name: string, shape: string): string {
  const from = /_([if](?:32|64))(?:_[su])?$/.exec(name);
  if (from && shape.length === 3) return from[1]!;
  if (name.endsWith('splat'))
    return { i8x16: 'i32', i16x8: 'i32', i32x4: 'i32', i64x2: 'i64', f32x4: 'f32', f64x2: 'f64' }[shape]!;
  return shape.length === 3 ? shape : 'v128';
}

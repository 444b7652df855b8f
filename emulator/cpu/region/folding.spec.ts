/** Folded operations give what WebAssembly computes. */
import assert from 'node:assert/strict';
import type { Value } from '../emitter.ts';
import { ValueEmitter } from '../interpreter/values.ts';
import type { Expression } from '../interpreter/values.ts';
import { buildModule } from '../wasm/module.ts';
import { Writer } from '../wasm/writer.ts';
import { fold } from './folding.ts';
import { generator } from './random-code.support.ts';

const STORES = { i32: 'i32.store', i64: 'i64.store', f32: 'f32.store', f64: 'f64.store', v128: 'v128.store' } as const;

class Plain extends ValueEmitter {
  constructor() {
    super(new Writer(), 0, () => {
      throw new Error('no helpers');
    });
  }
  store(value: Value): void {
    this.poke(STORES[value.type], this.i32(0), 0, value);
  }
  /** A vector that no one knows to be constant. */
  hidden(vector: Expression): Expression {
    return this.let({ type: 'v128', operands: [], code: vector.code } as Expression);
  }
}

/** What the WebAssembly made by `make` leaves at address 0. */
function result(make: (e: Plain) => Value): string {
  const e = new Plain();
  e.store(make(e));
  const memory = new WebAssembly.Memory({ initial: 1 });
  const type = { parameters: [], results: [] };
  const bytes = buildModule({
    imports: [],
    memory: { module: 'env', name: 'memory', pages: 1 },
    functions: [{ type, locals: e.locals, body: e.w.finish(), export: 'run' }],
  });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource), { env: { memory } });
  (exports['run'] as () => void)();
  return Buffer.from(memory.buffer, 0, 16).toString('hex');
}

const SCALAR = 'and or add sub shl shr_u eq lt_u'.split(' ');
const OPERATIONS = [
  ...[...SCALAR, 'xor', 'mul', 'ne', 'gt_u'].map((name) => `i32.${name}`),
  ...SCALAR.map((name) => `i64.${name}`),
  ...['i32.eqz', 'i64.eqz', 'i32.wrap_i64', 'i64.extend_i32_u'],
  ...['i8x16', 'i16x8', 'i32x4', 'i64x2'].flatMap((shape) =>
    ['splat', 'add', 'sub', 'eq', 'ne', 'shl', 'shr_u'].map((name) => `${shape}.${name}`),
  ),
  ...['v128.and', 'v128.or', 'v128.xor', 'v128.andnot', 'i16x8.mul', 'i32x4.mul', 'i16x8.narrow_i32x4_u'],
];

describe('constant folding', () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1e9);
  const random = generator(seed);
  const word = (): bigint =>
    random(4) === 0 ? BigInt(random(5)) - 2n : (BigInt(random(2 ** 31)) << 33n) ^ BigInt(random(2 ** 31) * 3);
  const operand = (e: Plain, name: string, place: number): Expression => {
    const [type, operation] = name.split('.') as [string, string];
    const shape = operation === 'wrap_i64' ? 'i64' : operation === 'extend_i32_u' ? 'i32' : type;
    const scalar = operation === 'splat' ? (type === 'i64x2' ? 'i64' : 'i32') : shape;
    const count = /^sh[lr]/.test(operation) && place === 1 && shape !== 'i64' ? 'i32' : scalar;
    if (count === 'i32') return e.i32(Number(BigInt.asIntN(32, word())));
    return count === 'i64' ? e.i64(word()) : vector(e);
  };
  const vector = (e: Plain, limit = 256): Expression => e.v128(Array.from({ length: 16 }, () => random(limit)));
  const folded = (e: Plain, name: string, ...args: Expression[]): Expression | undefined =>
    fold(e, (plain, ...rest) => e.op(plain, ...rest), name, args);

  for (const name of OPERATIONS)
    it(name, () => {
      for (let round = 0; round < 20; round++) {
        const e = new Plain();
        const unary = /eqz|splat|wrap|extend/.test(name);
        const args = [operand(e, name, 0), ...(unary ? [] : [operand(e, name, 1)])];
        const known = folded(e, name, ...args);
        assert.ok(known, `${name} is not folded`);
        assert.ok(known.constant !== undefined || known.bytes);
        assert.equal(
          result(() => known),
          result(() => e.op(name, ...args)),
          `seed ${seed}, ${args.map(({ constant, bytes }) => String(constant ?? bytes)).join('; ')}`,
        );
      }
    });

  it('swizzles, blends and both joined', () => {
    for (let round = 0; round < 100; round++) {
      const e = new Plain();
      const [x, y, order] = [vector(e), vector(e), vector(e, round % 2 ? 16 : 20)];
      const flags = Array.from({ length: 16 }, () => random(2));
      const mask = e.v128(flags.map((flag) => flag * 0xff));
      const either = flags.map((flag, index) => (flag ? order.bytes![index]! : 0x80));
      const other = flags.map((flag, index) => (flag ? 0x80 : order.bytes![index]!));
      const makes: ((e: Plain, op: (name: string, ...args: Expression[]) => Expression) => Expression)[] = [
        (to, op) => op('i8x16.swizzle', to.hidden(x), order),
        (to, op) => op('v128.bitselect', to.hidden(x), to.hidden(y), mask),
        (to, op) =>
          op(
            'v128.or',
            op('i8x16.swizzle', to.hidden(x), e.v128(either)),
            op('i8x16.swizzle', to.hidden(y), e.v128(other)),
          ),
      ];
      for (const make of makes)
        assert.equal(
          result((to) => make(to, (name, ...args) => folded(to, name, ...args) ?? to.op(name, ...args))),
          result((to) => make(to, (name, ...args) => to.op(name, ...args))),
          `seed ${seed}`,
        );
    }
  });
});

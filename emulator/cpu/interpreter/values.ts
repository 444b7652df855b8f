/** The part of an emitter that knows nothing of a machine: pure values, locals, control flow. Shared by every back-end. */
import type { Doubt, Value, ValueType, Variable } from '../emitter.ts';
import { LANE_OPCODES, OP_SHUFFLE, OP_V128_CONST, OPCODES } from '../wasm/opcodes.ts';
import type { MemoryInstruction, Opcode } from '../wasm/opcodes.ts';
import type { FunctionType } from '../wasm/module.ts';
import { i32Const, i64Const, memoryInstruction, unsignedLeb, Writer } from '../wasm/writer.ts';

/** A pure expression, to be computed wherever it is used: operands, then one instruction. */
export interface Expression extends Value {
  readonly operands: readonly Expression[];
  /** The instruction with its immediates. */
  readonly code: readonly number[];
  /** A constant, or a local that is set once: nothing to gain from another local. */
  readonly stable?: boolean;
  /** What an `i32` or `i64` constant is. */
  readonly constant?: number | bigint;
  /** What a `v128` constant is. */
  readonly bytes?: readonly number[];
}

const NONE: readonly Expression[] = [];

interface Local extends Variable {
  readonly index: number;
}

/** What a load answers. */
export const typeOf = (name: MemoryInstruction): ValueType => name.slice(0, name.indexOf('.')) as ValueType;

export const expression = (value: Value): Expression => value as Expression;
const localOf = (variable: Variable): number => (variable as Local).index;

/** Function index and signature of an imported helper. */
export interface Helper {
  readonly index: number;
  readonly type: FunctionType;
}

export abstract class ValueEmitter {
  /** Types of all locals after the parameters. */
  readonly locals: ValueType[] = [];
  readonly #pool = new Map<ValueType, number[]>();
  readonly #used = new Map<ValueType, number>();
  /** Open `if` and `loop` bodies: what is written there may not have happened. */
  protected nesting = 0;

  constructor(
    readonly w: Writer,
    readonly parameters: number,
    readonly helper: (name: string) => Helper,
  ) {}

  /** Locals of the instruction before are free again. */
  protected releaseLocals(): void {
    this.#used.clear();
  }
  /** A local that is never released. */
  newLocal(type: ValueType): number {
    return this.parameters + this.locals.push(type) - 1;
  }
  protected temporary(type: ValueType): number {
    let pool = this.#pool.get(type);
    if (!pool) this.#pool.set(type, (pool = []));
    const used = this.#used.get(type) ?? 0;
    this.#used.set(type, used + 1);
    if (used === pool.length) pool.push(this.newLocal(type));
    return pool[used]!;
  }
  protected push(value: Value): void {
    const { operands, code } = expression(value);
    for (const operand of operands) this.push(operand);
    this.w.bytes(code);
  }
  protected local(index: number, type: ValueType): Expression {
    return { type, operands: NONE, code: localGet(index), stable: true };
  }
  /** A load from linear memory as a pure value: only of what no one changes meanwhile. */
  protected peek(name: MemoryInstruction, address: Value, offset: number): Expression {
    return {
      type: typeOf(name),
      operands: [expression(address)],
      code: memoryInstruction(name, offset),
    };
  }
  protected poke(name: MemoryInstruction, address: Value, offset: number, value: Value): void {
    this.push(address);
    this.push(value);
    this.w.memory(name, offset);
  }

  i32(value: number): Expression {
    return { type: 'i32', operands: NONE, code: i32Const(value), stable: true, constant: value | 0 };
  }
  i64(value: bigint | number): Expression {
    const constant = BigInt.asIntN(64, BigInt(value));
    return { type: 'i64', operands: NONE, code: i64Const(constant), stable: true, constant };
  }
  f32(value: number): Expression {
    const code = [0x43, ...new Uint8Array(new Float32Array([value]).buffer)];
    return { type: 'f32', operands: NONE, code, stable: true };
  }
  f64(value: number): Expression {
    const code = [0x44, ...new Uint8Array(new Float64Array([value]).buffer)];
    return { type: 'f64', operands: NONE, code, stable: true };
  }
  v128(bytes: readonly number[]): Expression {
    if (bytes.length !== 16) throw new Error('v128 wants 16 bytes');
    return { type: 'v128', operands: NONE, code: [0xfd, OP_V128_CONST, ...bytes], stable: true, bytes };
  }
  op(name: string, ...args: Value[]): Expression {
    const opcode = OPCODES.get(name);
    if (!opcode) throw new Error(`no WebAssembly instruction ${name}`);
    return { type: opcode.result, operands: args.map(expression), code: opcodeBytes(opcode) };
  }
  lane(name: string, lane: number, ...args: Value[]): Expression {
    const opcode = LANE_OPCODES.get(name);
    if (!opcode) throw new Error(`no WebAssembly lane instruction ${name}`);
    return { type: opcode.result, operands: args.map(expression), code: [...opcodeBytes(opcode), lane] };
  }
  shuffle(lanes: readonly number[], a: Value, b: Value): Expression {
    if (lanes.length !== 16) throw new Error('shuffle wants 16 lanes');
    return { type: 'v128', operands: [expression(a), expression(b)], code: [0xfd, OP_SHUFFLE, ...lanes] };
  }
  select(condition: Value, a: Value, b: Value): Expression {
    if (a.type !== b.type) throw new Error(`select of ${a.type} and ${b.type}`);
    // The untyped form exists for numeric types only; v128 has the typed one.
    const select = a.type === 'v128' ? [0x1c, 1, 0x7b] : [0x1b];
    return { type: a.type, operands: [a, b, condition].map(expression), code: select };
  }

  let(value: Value): Expression {
    const given = expression(value);
    if (given.stable) return given;
    const index = this.temporary(given.type);
    this.push(given);
    this.w.localSet(index);
    return this.local(index, given.type);
  }
  variable(type: ValueType, initial?: Value): Variable {
    const variable: Local = { type, index: this.temporary(type) };
    if (initial) this.set(variable, initial);
    return variable;
  }
  get(variable: Variable): Expression {
    return { type: variable.type, operands: NONE, code: localGet(localOf(variable)) };
  }
  set(variable: Variable, value: Value): void {
    if (variable.type !== value.type) throw new Error(`${value.type} set to a variable of ${variable.type}`);
    this.push(value);
    this.w.localSet(localOf(variable));
  }

  if(condition: Value, then: () => void, otherwise?: () => void): void {
    this.push(condition);
    this.w.if();
    this.nesting++;
    then();
    if (otherwise) {
      this.w.else();
      otherwise();
    }
    this.nesting--;
    this.w.end();
  }
  unlikely(doubts: readonly Doubt[], then: () => void): boolean {
    if (doubts.length === 0) return true;
    const any = (conditions: Value[]): Value => conditions.reduce((all, one) => this.op('i32.or', all, one));
    const suspected = any(doubts.map((doubt) => doubt.suspected));
    if (!doubts.some(({ unless }) => unless)) this.if(suspected, then);
    else
      this.if(suspected, () => {
        const reasons = doubts.map((doubt) =>
          doubt.unless ? this.op('i32.gt_u', doubt.suspected, doubt.unless) : doubt.suspected,
        );
        this.if(any(reasons), then);
      });
    return false;
  }
  loop(body: (exit: () => void, again: () => void) => void): void {
    const outside = this.w.block();
    const top = this.w.loop();
    this.nesting++;
    body(
      () => this.w.branch(outside),
      () => this.w.branch(top),
    );
    this.w.branch(top);
    this.nesting--;
    this.w.end();
    this.w.end();
  }

  call(helper: string, ...args: Value[]): Expression {
    const { type } = this.#invoke(helper, args);
    const result = type.results[0];
    if (!result) throw new Error(`${helper} returns nothing`);
    const index = this.temporary(result);
    this.w.localSet(index);
    return this.local(index, result);
  }
  callVoid(helper: string, ...args: Value[]): void {
    const { type } = this.#invoke(helper, args);
    if (type.results.length) this.w.plain(0x1a);
  }
  #invoke(name: string, args: readonly Value[]): Helper {
    const helper = this.helper(name);
    const want = helper.type.parameters.join();
    const have = args.map((value) => value.type).join();
    if (want !== have) throw new Error(`${name}(${want}) called with (${have})`);
    for (const value of args) this.push(value);
    this.w.call(helper.index);
    return helper;
  }
}

const OPCODE_BYTES = new Map<Opcode, readonly number[]>();
function opcodeBytes(opcode: Opcode): readonly number[] {
  let bytes = OPCODE_BYTES.get(opcode);
  if (!bytes) {
    bytes = opcode.prefix ? [opcode.prefix, ...unsignedLeb(opcode.code)] : [opcode.code];
    OPCODE_BYTES.set(opcode, bytes);
  }
  return bytes;
}

const LOCAL_GETS: (readonly number[])[] = [];
function localGet(index: number): readonly number[] {
  return (LOCAL_GETS[index] ??= [0x20, ...unsignedLeb(index)]);
}

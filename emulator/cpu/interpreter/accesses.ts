/**
 * What each form does with its memory operand: how many bytes, and whether it writes them. Found by emitting the form's meaning to nowhere and watching which
 * accesses are made at the operand's address, or at a constant distance from it.
 */
import type { Size, Value } from '../emitter.ts';
import type { Operand } from '../instruction.ts';
import { segmentAccess } from '../records.ts';
import { Writer } from '../wasm/writer.ts';
import { InterpreterEmitter } from './emitter.ts';
import type { Expression, Helper } from './values.ts';

export class AccessProbe extends InterpreterEmitter {
  /** Distance from the operand's address of an expression that is one. */
  readonly #offsets = new Map<Value, number>();
  readonly #constants = new Map<Value, bigint>();
  #bytes = 0;
  #writes = false;

  constructor(helper: (name: string) => Helper) {
    super(new Writer(), helper, { tlbBase: undefined, dispatch: undefined }, 2);
  }

  /** As `segmentAccess`; 0 if nothing at the operand's address was accessed. */
  get access(): number {
    return this.#bytes === 0 ? 0 : segmentAccess(this.#bytes, this.#writes);
  }
  #note(address: Value, bytes: number, write: boolean): void {
    const offset = this.#offsets.get(address);
    if (offset === undefined) return;
    this.#bytes = Math.max(this.#bytes, offset + bytes);
    this.#writes ||= write;
  }

  override i64(value: bigint | number): Expression {
    const constant = super.i64(value);
    this.#constants.set(constant, BigInt(value));
    return constant;
  }
  override op(name: string, ...args: Value[]): Expression {
    const result = super.op(name, ...args);
    const [base, distance] = args;
    if (name !== 'i64.add' || !base || !distance) return result;
    const offset = this.#offsets.get(base);
    const constant = this.#constants.get(distance);
    if (offset !== undefined && constant !== undefined) this.#offsets.set(result, offset + Number(constant));
    return result;
  }
  override let(value: Value): Expression {
    const kept = super.let(value);
    const offset = this.#offsets.get(value);
    if (offset !== undefined) this.#offsets.set(kept, offset);
    return kept;
  }
  override address(operand: Operand): Expression {
    const linear = super.address(operand);
    this.#offsets.set(linear, 0);
    return linear;
  }
  override load(address: Value, size: Size, forWrite = false): Expression {
    this.#note(address, size, forWrite);
    return super.load(address, size, forWrite);
  }
  override loadFloat(address: Value, size: 4 | 8): Expression {
    this.#note(address, size, false);
    return super.loadFloat(address, size);
  }
  override loadAlone(address: Value, size: 4 | 8): Expression {
    this.#note(address, size, false);
    return super.loadAlone(address, size);
  }
  override store(address: Value, size: Size, value: Value): void {
    this.#note(address, size, true);
    super.store(address, size, value);
  }
  override load128(address: Value, aligned?: boolean): Expression {
    this.#note(address, 16, false);
    return super.load128(address, aligned);
  }
  override store128(address: Value, value: Value, aligned?: boolean): void {
    this.#note(address, 16, true);
    super.store128(address, value, aligned);
  }
  override load256(address: Value): [Expression, Expression] {
    this.#note(address, 32, false);
    return super.load256(address);
  }
  override store256(address: Value, low: Value, high: Value): void {
    this.#note(address, 32, true);
    super.store256(address, low, high);
  }
  override probeWrite(address: Value, bytes: number): void {
    this.#note(address, bytes, true);
    super.probeWrite(address, bytes);
  }
}

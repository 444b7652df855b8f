/** Vector registers of translated code: locals, and what is known of the numbers in them. */
import type { Size, Value } from '../emitter.ts';
import type { Operand } from '../instruction.ts';
import { loadOf, MemoryEmitter, storeOf } from '../interpreter/memory.ts';
import type { Expression } from '../interpreter/values.ts';
import { registerField } from '../records.ts';
import { fold } from './folding.ts';
import { entryOf } from './knowledge.ts';
import type { PlainLanes } from './knowledge.ts';

type VectorOperand = Extract<Operand, { kind: 'xmm' | 'ymm' }>;

/** A vector of whose lanes something is known. */
interface LanedExpression extends Expression {
  readonly lanes?: PlainLanes | undefined;
}

/** Bits 127:0 of registers come first, bits 255:128 from here on, where both are numbered. */
const HIGH = 16;

export abstract class VectorEmitter extends MemoryEmitter {
  /** Bits 127:0 of registers in use, and their locals. */
  readonly xmms = new Map<number, number>();
  readonly writtenXmms = new Set<number>();
  /** Bits 255:128. */
  readonly yhighs = new Map<number, number>();
  readonly writtenYhighs = new Set<number>();
  /** What is known of both halves of each register. */
  protected plainLanes: (PlainLanes | undefined)[] = [];

  readonly #plainOp = (name: string, ...args: Value[]): Expression => super.op(name, ...args);

  /** Address of a memory operand. */
  abstract address(operand: Operand): Expression;

  #low(register: number): number {
    return entryOf(this.xmms, register, () => this.newLocal('v128'));
  }
  #high(register: number): number {
    return entryOf(this.yhighs, register, () => this.newLocal('v128'));
  }
  /** A copy of a local's value now. */
  protected copy(local: number, type: 'i64' | 'v128', lanes?: PlainLanes): Expression {
    return this.let({ ...this.local(local, type), stable: false, lanes } as Expression);
  }
  override let(value: Value): Expression {
    const { plain, lanes } = value as LanedExpression;
    const result = super.let(value);
    return (plain || lanes) && result !== value ? ({ ...result, plain, lanes } as LanedExpression) : result;
  }
  override op(name: string, ...args: Value[]): Expression {
    return fold(this, this.#plainOp, name, args as Expression[]) ?? super.op(name, ...args);
  }
  override select(condition: Value, a: Value, b: Value): Expression {
    const { constant } = condition as Expression;
    return constant === undefined ? super.select(condition, a, b) : ((constant ? a : b) as Expression);
  }
  /** Notes what is known of a vector with a new lowest lane. */
  override lane(name: string, lane: number, ...args: Value[]): Expression {
    const result = super.lane(name, lane, ...args);
    const [vector, value] = args as [LanedExpression, Value | undefined];
    if (lane !== 0 || !value?.plain) return result;
    const all = vector.lanes?.all === true && vector.lanes.size === value.plain;
    return { ...result, lanes: { size: value.plain, all } } as LanedExpression;
  }
  #note(half: number, value: Value): void {
    const { plain, lanes } = value as LanedExpression;
    this.plainLanes[half] = this.nesting > 0 ? undefined : plain ? { size: plain, all: true } : lanes;
  }
  #read(half: number, local: number): Expression {
    const lanes = this.plainLanes[half];
    const value = this.copy(local, 'v128', lanes);
    return lanes?.all ? { ...value, plain: lanes.size } : value;
  }

  /** Where a register that has no local is kept. */
  protected place(operand: Operand): number {
    const place = registerField(operand);
    if (place === undefined) throw new Error(`a ${operand.kind} operand is not a register`);
    return place;
  }
  /** The lowest lane, as an integer. */
  protected readPart(register: number, size: Size): Expression {
    const whole = this.local(this.#low(register), 'v128');
    return this.let(this.lane(size < 4 ? `${LANES[size]}.extract_lane_u` : `${LANES[size]}.extract_lane`, 0, whole));
  }
  protected writePart(register: number, size: Size, value: Value): void {
    this.#write(register, this.lane(`${LANES[size]}.replace_lane`, 0, this.local(this.#low(register), 'v128'), value));
  }
  #write(register: number, value: Value): void {
    this.writtenXmms.add(register);
    this.push(value);
    this.w.localSet(this.#low(register));
    this.#note(register, value);
  }

  readVector(operand: Operand, aligned = false): Expression {
    if (operand.kind === 'memory') return this.load128(this.address(operand), aligned);
    if (isVector(operand)) return this.#read(operand.register, this.#low(operand.register));
    return this.let(this.peek('v128.load', this.i32(0), this.place(operand)));
  }
  writeVector(operand: Operand, value: Value, aligned = false): void {
    if (operand.kind === 'memory') this.store128(this.address(operand), value, aligned);
    else if (isVector(operand)) this.#write(operand.register, value);
    else this.poke('v128.store', this.i32(0), this.place(operand), value);
  }
  readVectorHigh(operand: Operand): Expression {
    const register = vectorNumber(operand);
    return this.#read(register + HIGH, this.#high(register));
  }
  writeVectorHigh(operand: Operand, value: Value): void {
    const register = vectorNumber(operand);
    this.writtenYhighs.add(register);
    this.push(value);
    this.w.localSet(this.#high(register));
    this.#note(register + HIGH, value);
  }
  readVectorLow(operand: Operand, size: 4 | 8): Expression {
    if (operand.kind === 'memory') return this.load(this.address(operand), size);
    if (isVector(operand)) return this.readPart(operand.register, size);
    return this.let(this.peek(loadOf(size), this.i32(0), this.place(operand)));
  }
  writeVectorLow(operand: Operand, size: 4 | 8, value: Value): void {
    if (operand.kind === 'memory') this.store(this.address(operand), size, value);
    else if (isVector(operand)) this.writePart(operand.register, size, value);
    else this.poke(storeOf(size), this.i32(0), this.place(operand), value);
  }
  readScalar(operand: Operand, size: 4 | 8): Expression {
    if (operand.kind === 'memory') return this.loadFloat(this.address(operand), size);
    const register = vectorNumber(operand);
    const value = this.let(this.lane(`${FLOATS[size]}.extract_lane`, 0, this.local(this.#low(register), 'v128')));
    return this.plainLanes[register]?.size === size ? { ...value, plain: size } : value;
  }
  writeScalar(operand: Operand, size: 4 | 8, value: Value): void {
    if (operand.kind === 'memory') return this.store(this.address(operand), size, value);
    const register = vectorNumber(operand);
    const lanes = this.plainLanes[register];
    const whole = { ...this.local(this.#low(register), 'v128'), lanes } as Expression;
    this.#write(register, this.lane(`${FLOATS[size]}.replace_lane`, 0, whole, value));
  }
  readAlone(operand: Operand, size: 4 | 8): Expression {
    return this.loadAlone(this.address(operand), size);
  }
}

export const isVector = (operand: Operand): operand is VectorOperand =>
  operand.kind === 'xmm' || operand.kind === 'ymm';

function vectorNumber(operand: Operand): number {
  if (!isVector(operand)) throw new Error(`a ${operand.kind} operand is no vector register`);
  return operand.register;
}

const LANES: Record<Size, string> = { 1: 'i8x16', 2: 'i16x8', 4: 'i32x4', 8: 'i64x2' };
const FLOATS = { 4: 'f32x4', 8: 'f64x2' } as const;

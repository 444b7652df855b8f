/** An emitter that passes everything on: base of emitters that change how a meaning reads its operands (see vex.ts). */
import type { Doubt, Emitter, FlagKind, Size, Value, ValueType, Variable } from '../emitter.ts';
import type { Operand } from '../instruction.ts';

export class ForwardingEmitter implements Emitter {
  constructor(readonly e: Emitter) {}

  i32(value: number): Value {
    return this.e.i32(value);
  }
  i64(value: bigint | number): Value {
    return this.e.i64(value);
  }
  f32(value: number): Value {
    return this.e.f32(value);
  }
  f64(value: number): Value {
    return this.e.f64(value);
  }
  v128(bytes: readonly number[]): Value {
    return this.e.v128(bytes);
  }
  op(name: string, ...args: Value[]): Value {
    return this.e.op(name, ...args);
  }
  lane(name: string, lane: number, ...args: Value[]): Value {
    return this.e.lane(name, lane, ...args);
  }
  shuffle(lanes: readonly number[], a: Value, b: Value): Value {
    return this.e.shuffle(lanes, a, b);
  }
  select(condition: Value, a: Value, b: Value): Value {
    return this.e.select(condition, a, b);
  }
  let(value: Value): Value {
    return this.e.let(value);
  }
  variable(type: ValueType, initial?: Value): Variable {
    return this.e.variable(type, initial);
  }
  get(variable: Variable): Value {
    return this.e.get(variable);
  }
  set(variable: Variable, value: Value): void {
    this.e.set(variable, value);
  }
  if(condition: Value, then: () => void, otherwise?: () => void): void {
    this.e.if(condition, then, otherwise);
  }
  unlikely(doubts: readonly Doubt[], then: () => void): boolean {
    return this.e.unlikely(doubts, then);
  }
  loop(body: (exit: () => void, again: () => void) => void): void {
    this.e.loop(body);
  }
  read(operand: Operand, size: Size): Value {
    return this.e.read(operand, size);
  }
  write(operand: Operand, size: Size, value: Value): void {
    this.e.write(operand, size, value);
  }
  readForWrite(operand: Operand, size: Size): Value {
    return this.e.readForWrite(operand, size);
  }
  gpr(register: number, size: Size): Value {
    return this.e.gpr(register, size);
  }
  setGpr(register: number, size: Size, value: Value): void {
    this.e.setGpr(register, size, value);
  }
  readVector(operand: Operand, aligned?: boolean): Value {
    return this.e.readVector(operand, aligned);
  }
  writeVector(operand: Operand, value: Value, aligned?: boolean): void {
    this.e.writeVector(operand, value, aligned);
  }
  readVectorHigh(operand: Operand): Value {
    return this.e.readVectorHigh(operand);
  }
  writeVectorHigh(operand: Operand, value: Value): void {
    this.e.writeVectorHigh(operand, value);
  }
  readVectorLow(operand: Operand, size: 4 | 8): Value {
    return this.e.readVectorLow(operand, size);
  }
  writeVectorLow(operand: Operand, size: 4 | 8, value: Value): void {
    this.e.writeVectorLow(operand, size, value);
  }
  readScalar(operand: Operand, size: 4 | 8): Value {
    return this.e.readScalar(operand, size);
  }
  writeScalar(operand: Operand, size: 4 | 8, value: Value): void {
    this.e.writeScalar(operand, size, value);
  }
  readAlone(operand: Operand, size: 4 | 8): Value {
    return this.e.readAlone(operand, size);
  }
  readMmx(operand: Operand): Value {
    return this.e.readMmx(operand);
  }
  writeMmx(operand: Operand, value: Value): void {
    this.e.writeMmx(operand, value);
  }
  stNumber(operand: Operand): Value {
    return this.e.stNumber(operand);
  }
  address(operand: Operand): Value {
    return this.e.address(operand);
  }
  elementAddress(operand: Operand, index: Value): Value {
    return this.e.elementAddress(operand, index);
  }
  effectiveAddress(operand: Operand): Value {
    return this.e.effectiveAddress(operand);
  }
  addressFrom(operand: Operand, distance: Value): Value {
    return this.e.addressFrom(operand, distance);
  }
  truncatedAddress(operand: Operand, offset: Value): Value {
    return this.e.truncatedAddress(operand, offset);
  }
  segmentAddress(segment: Operand | 'stack', offset: Value, bytes: number, write: boolean): Value {
    return this.e.segmentAddress(segment, offset, bytes, write);
  }
  load(address: Value, size: Size, forWrite?: boolean): Value {
    return this.e.load(address, size, forWrite);
  }
  store(address: Value, size: Size, value: Value): void {
    this.e.store(address, size, value);
  }
  load128(address: Value, aligned?: boolean): Value {
    return this.e.load128(address, aligned);
  }
  store128(address: Value, value: Value, aligned?: boolean): void {
    this.e.store128(address, value, aligned);
  }
  load256(address: Value): readonly [Value, Value] {
    return this.e.load256(address);
  }
  store256(address: Value, low: Value, high: Value): void {
    this.e.store256(address, low, high);
  }
  probeWrite(address: Value, bytes: number): void {
    this.e.probeWrite(address, bytes);
  }
  setFlags(kind: FlagKind, size: Size, a: Value, b?: Value): void {
    this.e.setFlags(kind, size, a, b);
  }
  arithmeticFlags(): Value {
    return this.e.arithmeticFlags();
  }
  carry(): Value {
    return this.e.carry();
  }
  condition(cc: number): Value {
    return this.e.condition(cc);
  }
  direction(): Value {
    return this.e.direction();
  }
  loadState(address: number, size: Size): Value {
    return this.e.loadState(address, size);
  }
  storeState(address: number, size: Size, value: Value): void {
    this.e.storeState(address, size, value);
  }
  loadStateF64(address: number): Value {
    return this.e.loadStateF64(address);
  }
  call(helper: string, ...args: Value[]): Value {
    return this.e.call(helper, ...args);
  }
  callVoid(helper: string, ...args: Value[]): void {
    this.e.callVoid(helper, ...args);
  }
  raise(vector: number, errorCode?: number): void {
    this.e.raise(vector, errorCode);
  }
  raiseIf(condition: Value, vector: number, errorCode?: number): void {
    this.e.raiseIf(condition, vector, errorCode);
  }
  faultIf(condition: Value): void {
    this.e.faultIf(condition);
  }
  jump(): void {
    this.e.jump();
  }
  jumpIf(condition: Value): void {
    this.e.jumpIf(condition);
  }
  jumpTo(target: Value): void {
    this.e.jumpTo(target);
  }
  checkTarget(target: Value, pushed?: Value): void {
    this.e.checkTarget(target, pushed);
  }
  nextRip(): Value {
    return this.e.nextRip();
  }
  system(): void {
    this.e.system();
  }
}

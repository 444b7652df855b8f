/** The region translator's back-end: operands are constants, general and XMM registers and lazy flags are locals. */
import { EXIT_FAULT, EXIT_SYSTEM, FAULT_EXCEPTION } from '../codes.ts';
import type { Doubt, Emitter, FlagKind, Size, Value } from '../emitter.ts';
import type { MemoryOperand, Operand } from '../instruction.ts';
import { conditionOfFlags, FLAG_KINDS, knownCondition, likelyCondition } from '../interpreter/conditions.ts';
import { loadOf, storeOf } from '../interpreter/memory.ts';
import type { DirectAccess } from '../interpreter/memory.ts';
import type { Expression, Helper } from '../interpreter/values.ts';
import * as L from '../layout.ts';
import type { Writer } from '../wasm/writer.ts';
import { AccessPlanner, FARTHEST, LEAVES_MEMORY_ALONE, placed } from './accesses.ts';
import type { Place, Placed } from './accesses.ts';
import { anyCarry, INLINE, knownCarry, knownFlags } from './helpers.ts';
import { entryOf } from './knowledge.ts';
import type { Ending, FixedLocals, FlagState, Knowledge } from './knowledge.ts';
import { isVector, VectorEmitter } from './vectors.ts';

const VECTORS_WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17, 21]);
const FIRST_BASED_SEGMENT = 4;
const CARRY = 1;
/** Helpers that may set flags in MXCSR. */
const CHANGES_MXCSR = /^(sse|fma|fxLoad)/;

/** 32 bits of a register with zeros above. */
interface NarrowExpression extends Expression {
  /** The whole register. */
  readonly whole?: Expression;
}

export class RegionEmitter extends VectorEmitter implements Emitter {
  /** What is known of the lazy flags here. */
  known: FlagState | undefined;
  ending: Ending | undefined;
  readonly fixed: FixedLocals;
  /** Registers in use and their locals. */
  readonly gprs = new Map<number, number>();
  readonly writtenGprs = new Set<number>();
  readonly flags: { readonly state: number; readonly a: number; readonly b: number };
  usesFlags = false;
  usesMxcsr = false;
  /** Depth of the block that ends at the exit. */
  exitDepth = 0;
  #record = 0;
  #next = 0n;
  #dropFlags = false;
  #addresses = new Map<Operand, Expression>();
  readonly #accesses = new AccessPlanner();
  /** What each general register holds, in terms of values it had before. */
  #places: (Place | undefined)[] = [];
  #names = 0;
  /** Registers whose upper half is zero. */
  #narrow = 0;
  /** Places of addresses that are no such sum. */
  readonly #nameless = new Map<Value, Place>();
  readonly #hosts: number[] = [];
  /** Depth of the block that ends at what counts accesses that missed. */
  missDepth = 0;

  /**
   * @param mayLeave whether the region is left where an access of this record misses the TLB; otherwise the slow path is called
   * @param mayDoubt whether it is left where that record's floating-point operation needs the core
   */
  constructor(
    w: Writer,
    helper: (name: string) => Helper,
    readonly mayLeave: (record: number) => boolean,
    readonly mayDoubt: (record: number) => boolean,
  ) {
    super(w, 2, helper);
    this.fixed = {
      budget: 1,
      outcome: this.newLocal('i32'),
      at: this.newLocal('i32'),
      tlbBase: this.newLocal('i32'),
      mxcsr: this.newLocal('i32'),
    };
    this.flags = { state: this.newLocal('i32'), a: this.newLocal('i64'), b: this.newLocal('i64') };
  }

  // ---- driving

  /**
   * @param record of the instruction
   * @param next linear address after it
   * @param dropFlags the flags it writes are never read
   */
  beginInstruction(record: number, next: bigint, dropFlags: boolean): void {
    this.releaseLocals();
    this.forgetAddresses();
    this.#record = record;
    this.#next = next;
    this.#dropFlags = dropFlags;
    this.#addresses = new Map();
    this.#nameless.clear();
    this.ending = undefined;
  }

  /** Emits a block: once to learn of its accesses, then in earnest. */
  block(emit: (recording: boolean) => void): void {
    const { known } = this;
    const places = [...this.#places];
    const narrow = this.#narrow;
    const plainLanes = [...this.plainLanes];
    const names = this.#names;
    const { checked } = this.#accesses;
    const mark = this.w.mark();
    this.#accesses.record();
    emit(true);
    this.w.rewind(mark);
    this.#accesses.emit();
    this.known = known;
    this.#places = places;
    this.#narrow = narrow;
    this.plainLanes = plainLanes;
    this.#names = names;
    this.#accesses.checked = checked;
    emit(false);
  }
  /** What is known here: of flags, registers, checked pages. */
  knowledge(): Knowledge {
    const { known, plainLanes } = this;
    const { checked } = this.#accesses;
    return { known, places: [...this.#places], narrow: this.#narrow, plainLanes: [...plainLanes], checked };
  }
  know({ known, places, narrow, plainLanes, checked }: Knowledge): void {
    this.#narrow = narrow;
    this.known = known;
    this.#places = [...places];
    this.plainLanes = [...plainLanes];
    this.#accesses.checked = checked;
  }

  /** Leaves the region: with an exit code about a record, or to a record. */
  leave(outcome: Value, at?: Value): void {
    if (at) {
      this.push(at);
      this.w.localSet(this.fixed.at);
    }
    this.push(outcome);
    this.w.localSet(this.fixed.outcome);
    this.w.branch(this.exitDepth);
  }
  #leaveHere(code: number): void {
    this.leave(this.i32(code), this.i32(this.#record));
    if (this.nesting === 0) this.ending = { kind: 'left' };
  }
  /** A value of linear memory, to be read where it is used. */
  at(name: 'i32.load' | 'i64.load', address: Value, offset = 0): Expression {
    return this.peek(name, address, offset);
  }
  setLocal(local: number, value: Value): void {
    this.push(value);
    this.w.localSet(local);
  }
  fixedLocal(local: number, type: 'i32' | 'i64'): Expression {
    return this.local(local, type);
  }
  /** Begins an `if`. */
  when(condition: Value): void {
    this.push(condition);
    this.w.if();
  }

  // ---- what the memory emitter asks

  protected site(): Value {
    return this.i32(this.#record);
  }
  /** Makes sure of an access: leaves if the TLB does not have it. The interpreter does that instruction then, and what is left of its block. */
  protected override direct(address: Value, bytes: number, write: boolean): DirectAccess | undefined {
    if (this.nesting > 0) return undefined;
    const place = this.#placeOf(address);
    const range = this.#accesses.access(place, bytes, write);
    if (range) return { host: this.local(range.host, 'i32'), offset: place.offset - range.low };
    if (!this.mayLeave(this.#record)) return undefined;
    if (this.#accesses.recording) return { host: this.i32(0), offset: 0 };
    const { key, low, high, write: writes } = this.#accesses.rangeFrom(place, bytes, write);
    const from = low === place.offset ? address : this.op('i64.add', address, this.i64(low - place.offset));
    const first = this.let(from);
    const entry = this.pushHit(first, high - low, writes ? L.TLB_WRITE : L.TLB_READ);
    this.w.plain(0x45); // i32.eqz
    this.w.if();
    this.#miss();
    this.w.end();
    this.pushHost(first, entry);
    const host = (this.#hosts[this.#accesses.checked.length] ??= this.newLocal('i32'));
    this.w.localSet(host);
    this.#accesses.add({ key, low, high, write: writes, host });
    return { host: this.local(host, 'i32'), offset: place.offset - low };
  }
  /** The interpreter goes on with this instruction. */
  #miss(): void {
    this.setLocal(this.fixed.at, this.i32(this.#record));
    this.w.branch(this.missDepth);
  }
  #placeOf(address: Value): Place {
    const { place } = address as Placed;
    return place ?? entryOf(this.#nameless, address, () => this.#newPlace());
  }
  #newPlace(): Place {
    return { key: `v${this.#names++}`, offset: 0 };
  }
  #registerPlace(register: number): Place {
    return (this.#places[register] ??= this.#newPlace());
  }
  override op(name: string, ...args: Value[]): Expression {
    const result = super.op(name, ...args);
    const { place } = args[0] as Placed;
    if (!place || (name !== 'i64.add' && name !== 'i64.sub')) return result;
    const constant = Number((args[1] as Expression).constant ?? NaN);
    if (!(Math.abs(constant) < FARTHEST)) return result;
    const offset = place.offset + (name === 'i64.add' ? constant : -constant);
    return Math.abs(offset) < FARTHEST ? placed(result, { key: place.key, offset }) : result;
  }
  override let(value: Value): Expression {
    const { place } = value as Placed;
    const result = super.let(value);
    return place && result !== value ? placed(result, place) : result;
  }
  protected tlbBase(): Value {
    return this.local(this.fixed.tlbBase, 'i32');
  }
  protected fault(): void {
    this.#leaveHere(EXIT_FAULT);
  }
  raise(vector: number, errorCode?: number): void {
    if (errorCode !== undefined && !VECTORS_WITH_ERROR_CODE.has(vector))
      throw new Error(`vector ${vector} has no error code`);
    const zero = this.i32(0);
    this.poke('i32.store', zero, L.FAULT_KIND, this.i32(FAULT_EXCEPTION));
    this.poke('i32.store', zero, L.FAULT_VECTOR, this.i32(vector));
    this.poke('i32.store', zero, L.FAULT_ERROR, this.i32(errorCode ?? 0));
    this.fault();
  }
  raiseIf(condition: Value, vector: number, errorCode?: number): void {
    this.if(condition, () => this.raise(vector, errorCode));
  }
  system(): void {
    this.#leaveHere(EXIT_SYSTEM);
  }

  // ---- registers

  #gpr(register: number): number {
    return entryOf(this.gprs, register, () => this.newLocal('i64'));
  }
  #isNarrow(register: number): boolean {
    return ((this.#narrow >>> register) & 1) !== 0;
  }
  #readGpr(register: number, size: Size, high: boolean): Expression {
    const whole = this.local(this.#gpr(register), 'i64');
    if (size === 8) return placed(this.copy(this.#gpr(register), 'i64'), this.#registerPlace(register));
    if (size === 4 && this.#isNarrow(register)) {
      const whole = this.copy(this.#gpr(register), 'i64');
      return { ...this.op('i32.wrap_i64', whole), stable: true, whole } as NarrowExpression;
    }
    const low = this.op('i32.wrap_i64', high ? this.op('i64.shr_u', whole, this.i64(8)) : whole);
    return this.let(size === 4 ? low : this.op('i32.and', low, this.i32(size === 1 ? 0xff : 0xffff)));
  }
  #writeGpr(register: number, size: Size, value: Value, high: boolean): void {
    if (value.type !== (size === 8 ? 'i64' : 'i32')) throw new Error(`${value.type} written to ${size} bytes`);
    const local = this.#gpr(register);
    this.writtenGprs.add(register);
    this.#places[register] = this.nesting === 0 && size === 8 ? (value as Placed).place : this.#newPlace();
    if (size === 8) {
      this.#narrow &= ~(1 << register);
      return this.setLocal(local, value);
    }
    const wide = (value as NarrowExpression).whole ?? this.op('i64.extend_i32_u', value);
    if (size === 4) {
      if (this.nesting === 0) this.#narrow |= 1 << register;
      return this.setLocal(local, wide);
    }
    const mask = size === 2 ? 0xffffn : 0xffn;
    const shift = high ? 8n : 0n;
    const kept = this.op('i64.and', this.local(local, 'i64'), this.i64(~(mask << shift)));
    const part = this.op('i64.and', wide, this.i64(mask));
    this.setLocal(local, this.op('i64.or', kept, high ? this.op('i64.shl', part, this.i64(8)) : part));
  }
  read(operand: Operand, size: Size): Expression {
    switch (operand.kind) {
      case 'immediate':
        return size === 8 ? this.i64(operand.value) : this.i32(Number(BigInt.asUintN(size * 8, operand.value)));
      case 'memory':
        return this.load(this.address(operand), size);
      case 'gpr':
        return this.#readGpr(operand.register, size, operand.high === true);
      case 'xmm':
      case 'ymm':
        return this.readPart(operand.register, size);
      case 'segment': {
        const selector = this.let(this.peek('i32.load16_u', this.i32(0), this.place(operand)));
        return size === 8 ? this.op('i64.extend_i32_u', selector) : selector;
      }
      default:
        return this.let(this.peek(loadOf(size), this.i32(0), this.place(operand)));
    }
  }
  readForWrite(operand: Operand, size: Size): Expression {
    return operand.kind === 'memory' ? this.load(this.address(operand), size, true) : this.read(operand, size);
  }
  write(operand: Operand, size: Size, value: Value): void {
    if (operand.kind === 'memory') this.store(this.address(operand), size, value);
    else if (operand.kind === 'gpr') this.#writeGpr(operand.register, size, value, operand.high === true);
    else if (isVector(operand) && size === 4) this.writePart(operand.register, 8, this.op('i64.extend_i32_u', value));
    else if (isVector(operand)) this.writePart(operand.register, size, value);
    else this.poke(storeOf(size), this.i32(0), this.place(operand), value);
  }
  gpr(register: number, size: Size): Expression {
    return this.#readGpr(register, size, false);
  }
  setGpr(register: number, size: Size, value: Value): void {
    this.#writeGpr(register, size, value, false);
  }

  readMmx(operand: Operand): Expression {
    return this.read(operand, 8);
  }
  writeMmx(operand: Operand, value: Value): void {
    if (operand.kind === 'memory') return this.store(this.address(operand), 8, value);
    const place = this.place(operand);
    this.poke('i64.store', this.i32(0), place, value);
    this.poke('i32.store16', this.i32(0), place + 8, this.i32(0xffff));
  }
  stNumber(operand: Operand): Expression {
    return this.i32(this.place(operand));
  }

  // ---- addresses (64-bit mode)

  address(operand: Operand): Expression {
    const found = this.#addresses.get(operand);
    if (found) return found;
    const memory = operand as MemoryOperand;
    const linear = this.#linear(memory, this.#effective(memory));
    const place = this.#operandPlace(memory);
    const value = this.let({ ...linear, stable: false, place } as Expression);
    this.#addresses.set(operand, value);
    return value;
  }
  addressFrom(operand: Operand, distance: Value): Expression {
    const memory = operand as MemoryOperand;
    const sum = this.op('i64.add', this.#effective({ ...memory, addressSize: 64 }), distance);
    return this.let(this.#linear(memory, this.#truncated(sum, memory.addressSize)));
  }
  elementAddress(operand: Operand, index: Value): Expression {
    const memory = operand as MemoryOperand;
    const { scale, addressSize } = memory;
    const scaled = scale === 0 ? index : this.op('i64.shl', index, this.i64(scale));
    const sum = this.op('i64.add', this.#effective({ ...memory, addressSize: 64 }), scaled);
    return this.let(this.#linear(memory, this.#truncated(sum, addressSize)));
  }
  #operandPlace({ base, index, scale, displacement, segment, addressSize }: MemoryOperand): Place | undefined {
    if (addressSize !== 64 || segment >= FIRST_BASED_SEGMENT) return undefined;
    let key = '';
    let offset = Number(displacement);
    if (base >= 0) {
      const place = this.#registerPlace(base);
      key = place.key;
      offset += place.offset;
    }
    if (index >= 0) {
      const place = this.#registerPlace(index);
      key += `+${place.key}*${scale}`;
      offset += place.offset * 2 ** scale;
    }
    return Math.abs(offset) < FARTHEST ? { key, offset } : undefined;
  }
  #linear({ segment }: MemoryOperand, effective: Expression): Expression {
    if (segment < FIRST_BASED_SEGMENT) return effective;
    const base = this.peek('i64.load', this.i32(0), L.SEG + segment * L.SEG_STRIDE + L.SEG_BASE);
    return this.op('i64.add', base, effective);
  }
  #truncated(sum: Expression, addressSize: number): Expression {
    return addressSize === 64 ? sum : this.op('i64.and', sum, this.i64((1n << BigInt(addressSize)) - 1n));
  }
  #effective({ base, index, scale, displacement, addressSize }: MemoryOperand): Expression {
    let sum: Expression | undefined = base < 0 ? undefined : this.local(this.#gpr(base), 'i64');
    if (index >= 0) {
      const register = this.local(this.#gpr(index), 'i64');
      const scaled = scale === 0 ? register : this.op('i64.shl', register, this.i64(scale));
      sum = sum ? this.op('i64.add', sum, scaled) : scaled;
    }
    if (!sum) sum = this.i64(displacement);
    else if (displacement !== 0n) sum = this.op('i64.add', sum, this.i64(displacement));
    return this.#truncated(sum, addressSize);
  }
  effectiveAddress(operand: Operand): Expression {
    return this.let({ ...this.#effective(operand as MemoryOperand), stable: false } as Expression);
  }

  // ---- flags

  #flagLocals(): { state: Expression; a: Expression; b: Expression } {
    this.usesFlags = true;
    const { state, a, b } = this.flags;
    return { state: this.local(state, 'i32'), a: this.local(a, 'i64'), b: this.local(b, 'i64') };
  }
  setFlags(kind: FlagKind, size: Size, a: Value, b?: Value): void {
    if (this.#dropFlags) return;
    const wide = (value: Value): Value => (value.type === 'i32' ? this.op('i64.extend_i32_u', value) : value);
    this.usesFlags = true;
    this.push(wide(a));
    if (b) this.setLocal(this.flags.b, wide(b));
    this.w.localSet(this.flags.a);
    this.setLocal(this.flags.state, this.i32(FLAG_KINDS[kind] * 4 + Math.log2(size)));
    this.known = this.nesting === 0 ? { kind, size } : undefined;
  }
  arithmeticFlags(): Expression {
    if (this.#dropFlags) return this.i32(0);
    const { a, b } = this.#flagLocals();
    if (this.known) return this.let(knownFlags(this, this.known.kind, this.known.size, a, b));
    this.#spillFlags();
    return this.call('arithmeticFlags');
  }
  carry(): Expression {
    if (this.#dropFlags) return this.i32(0);
    const { state, a, b } = this.#flagLocals();
    if (this.known) return this.let(knownCarry(this, this.known.kind, this.known.size, a, b));
    return this.let(anyCarry(this, state, a, b));
  }
  #spillFlags(): void {
    const { state, a, b } = this.#flagLocals();
    this.poke('i32.store', this.i32(0), L.CC_OP, state);
    this.poke('i64.store', this.i32(0), L.CC_A, a);
    this.poke('i64.store', this.i32(0), L.CC_B, b);
  }
  condition(cc: number): Expression {
    const flags = this.#flagLocals();
    const { a, b } = flags;
    if (!this.known) {
      if (cc >> 1 === CARRY) return this.#carryCondition(cc);
      const otherwise = (): Expression => {
        this.#spillFlags();
        return this.call('condition', this.i32(cc));
      };
      return likelyCondition(this, cc, () => flags, otherwise);
    }
    const { kind, size } = this.known;
    const narrow = (value: Value): Value => (size === 8 ? value : this.op('i32.wrap_i64', value));
    const value = knownCondition(this, { kind, size, a: narrow(a), b: narrow(b) }, cc);
    if (value) return this.let(value);
    if (cc >> 1 === CARRY) return this.#carryCondition(cc);
    return conditionOfFlags(this, cc, this.arithmeticFlags());
  }
  #carryCondition(cc: number): Expression {
    const carry = this.carry();
    return cc & 1 ? this.let(this.op('i32.xor', carry, this.i32(1))) : carry;
  }
  direction(): Expression {
    const flags = this.peek('i32.load', this.i32(0), L.SYSTEM_FLAGS);
    const down = this.op('i32.and', this.op('i32.shr_u', flags, this.i32(9)), this.i32(2));
    return this.let(this.op('i64.sub', this.i64(1), this.op('i64.extend_i32_u', down)));
  }

  // ---- machine state and helpers

  loadState(address: number, size: Size): Expression {
    if (address === L.MXCSR) {
      this.usesMxcsr = true;
      return this.local(this.fixed.mxcsr, 'i32');
    }
    return this.let(this.peek(loadOf(size), this.i32(0), address));
  }
  storeState(address: number, size: Size, value: Value): void {
    this.poke(storeOf(size), this.i32(0), address, value);
    if (address === L.MXCSR) this.#readMxcsr();
  }
  #readMxcsr(): void {
    this.setLocal(this.fixed.mxcsr, this.at('i32.load', this.i32(0), L.MXCSR));
  }
  loadStateF64(address: number): Expression {
    return this.let(this.peek('f64.load', this.i32(0), address));
  }
  override call(helper: string, ...args: Value[]): Expression {
    const inline = INLINE[helper];
    if (!inline) {
      if (!LEAVES_MEMORY_ALONE.test(helper)) this.#accesses.forget();
      const result = super.call(helper, ...args);
      if (CHANGES_MXCSR.test(helper)) this.#readMxcsr();
      return result;
    }
    return this.let(
      inline(
        this,
        args.map((value) => this.let(value)),
      ),
    );
  }

  override callVoid(helper: string, ...args: Value[]): void {
    if (!LEAVES_MEMORY_ALONE.test(helper)) this.#accesses.forget();
    super.callVoid(helper, ...args);
    if (CHANGES_MXCSR.test(helper)) this.#readMxcsr();
  }

  /** Leaves the region where there is reason for doubt, as where an access misses. */
  override unlikely(doubts: readonly Doubt[], then: () => void): boolean {
    if (this.nesting > 0 || !this.mayDoubt(this.#record)) return super.unlikely(doubts, then);
    for (const { suspected, unless } of doubts) {
      this.when(suspected);
      if (unless) this.when(this.op('i32.eqz', unless));
      this.#miss();
      if (unless) this.w.end();
      this.w.end();
    }
    return true;
  }

  // ---- ends of blocks

  jump(): void {
    this.ending = { kind: 'jump' };
  }
  jumpIf(condition: Value): void {
    this.ending = { kind: 'branch', condition: this.let(condition) };
  }
  jumpTo(target: Value): void {
    this.ending = { kind: 'indirect', target: this.let(target) };
  }
  checkTarget(target: Value, pushed?: Value): void {
    this.checkCanonical(target, pushed);
  }
  segmentAddress(): never {
    throw new Error('only 64-bit code is translated');
  }
  truncatedAddress(): never {
    throw new Error('only 64-bit code is translated');
  }
  nextRip(): Expression {
    return this.i64(this.#next);
  }
}

/** The interpreter's back-end: operands come from the decoded record, state from linear memory. */
import { EXIT_BUDGET, EXIT_FAULT, EXIT_LOOKUP, EXIT_SYSTEM, FAULT_EXCEPTION } from '../codes.ts';
import type { Emitter, FlagKind, Form, Size, Value } from '../emitter.ts';
import type { MemoryOperand, Operand } from '../instruction.ts';
import { CACHE_LINE } from '../code-layout.ts';
import * as L from '../layout.ts';
import {
  BUDGET_MARGIN,
  HANDLER,
  LINEAR_32,
  registerField,
  SCALE_BITS,
  segmentAccess,
  STUB,
  TERMINATOR,
} from '../records.ts';
import type { Addressing, RecordLayout } from '../records.ts';
import type { Writer } from '../wasm/writer.ts';
import { FLAG_KINDS, knownCondition, likelyCondition } from './conditions.ts';
import type { KnownFlags, StoredFlags } from './conditions.ts';
import { loadOf, MemoryEmitter, storeOf } from './memory.ts';
import type { MemoryInstruction } from '../wasm/opcodes.ts';
import type { Expression, Helper } from './values.ts';

/** Parameters of every function that holds handlers. */
export const PARAMETER = { record: 0, budget: 1 } as const;

/** Where a handler is placed: how it reads the TLB base, and how it goes on. */
export interface Placement {
  /** A local that holds TLB_BASE, or undefined to read it from memory. */
  readonly tlbBase: number | undefined;
  /** Depth of the dispatch loop, or undefined in a function of its own (which returns the next record or an exit code). */
  readonly dispatch: number | undefined;
  /** Depth of the block behind which the record at RIP is looked for, where there is one. */
  readonly lookUp?: number;
}

export interface HandlerOptions {
  readonly addressing: Addressing;
  /** The flags this instruction writes are never read. */
  readonly dropFlags: boolean;
}

/** Offset of bits 255:128 in a vector register. */
const UPPER_HALF = 16;

const VECTOR_GP = 13;
const VECTORS_WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17, 21]);

export class InterpreterEmitter extends MemoryEmitter implements Emitter {
  #form!: Form;
  #options!: HandlerOptions;
  /** Offset from the record in hand of this instruction's record, and where its fields are in that. */
  #offset = 0;
  #layout!: RecordLayout;
  #known: KnownFlags | undefined;
  #addresses = new Map<Operand, Expression>();
  /** Set when the handler left for good. */
  #ended = false;
  #usesNext = false;

  constructor(
    w: Writer,
    helper: (name: string) => Helper,
    readonly placement: Placement,
    parameters: number,
  ) {
    super(w, parameters, helper);
  }

  // ---- driving

  /** Begins a handler at a record. */
  beginHandler(): void {
    this.releaseLocals();
    this.#known = undefined;
  }
  /**
   * Begins one of its instructions.
   * @param offset of its record
   */
  beginInstruction(form: Form, options: HandlerOptions, offset: number, layout: RecordLayout): void {
    this.#form = form;
    this.#options = options;
    this.#offset = offset;
    this.#layout = layout;
    this.#addresses = new Map();
    this.#ended = false;
    this.#usesNext = false;
    this.forgetAddresses();
  }
  get ended(): boolean {
    return this.#ended;
  }
  get usesNext(): boolean {
    return this.#usesNext;
  }

  get #record(): Expression {
    return this.local(PARAMETER.record, 'i32');
  }
  get #terminator(): number {
    return this.#place(this.#layout.terminator);
  }
  /** Offset from the record in hand of a field of this instruction's. */
  #place(field: number | undefined): number {
    if (field === undefined || field < 0) throw new Error(`${this.#form.op}: its record has no such field`);
    return this.#offset + field;
  }
  get #budget(): Expression {
    return this.local(PARAMETER.budget, 'i32');
  }

  /** Goes on at a record without looking at the budget. */
  #continueAt(record: Value): void {
    if (this.placement.dispatch === undefined) {
      this.push(record);
      this.w.return();
      return;
    }
    this.push(record);
    this.w.localSet(PARAMETER.record);
    this.w.branch(this.placement.dispatch);
  }
  /** To the record `bytes` after this one. */
  next(bytes: number): void {
    this.#continueAt(this.op('i32.add', this.#record, this.i32(bytes)));
    this.#ended = true;
  }
  exit(code: number): void {
    // In a function of its own the budget in memory is up to date (see `#go`).
    if (this.placement.dispatch !== undefined) this.#poke32(L.BUDGET, this.#budget);
    this.w.i32Const(code);
    this.w.return();
    if (this.nesting === 0) this.#ended = true;
  }
  exitAtRecord(code: number): void {
    this.#poke32(L.OP, this.#record);
    this.exit(code);
  }
  #poke32(at: number, value: Value): void {
    this.poke('i32.store', this.i32(0), at, value);
  }
  #spend(): void {
    this.push(
      this.op('i32.sub', this.#budget, this.peek('i32.load16_u', this.#record, this.#terminator + TERMINATOR.count)),
    );
    this.w.localSet(PARAMETER.budget);
    if (this.placement.dispatch === undefined) this.#poke32(L.BUDGET, this.#budget);
  }
  /** Ends the block: counts it, and goes on at `target` unless the budget is low or the block hot. */
  #go(target: Expression): void {
    this.#spend();
    const countdown = this.#terminator + TERMINATOR.countdown;
    const left = this.let(this.op('i32.sub', this.peek('i32.load', this.#record, countdown), this.i32(1)));
    this.poke('i32.store', this.#record, countdown, left);
    const low = this.op('i32.lt_s', this.#budget, this.i32(BUDGET_MARGIN));
    this.if(this.op('i32.or', this.op('i32.eqz', left), low), () => {
      this.#poke32(L.OP, target);
      this.#poke32(L.LINK, this.op('i32.add', this.#record, this.i32(this.#terminator)));
      this.exit(EXIT_BUDGET);
    });
    this.#continueAt(target);
    if (this.nesting === 0) this.#ended = true;
  }

  // ---- what the memory emitter asks

  protected site(): Value {
    return this.#record;
  }
  protected tlbBase(): Value {
    const { tlbBase } = this.placement;
    return tlbBase === undefined ? this.peek('i32.load', this.i32(0), L.TLB_BASE) : this.local(tlbBase, 'i32');
  }
  protected fault(): void {
    this.exitAtRecord(EXIT_FAULT);
  }

  raise(vector: number, errorCode?: number): void {
    if (errorCode !== undefined && !VECTORS_WITH_ERROR_CODE.has(vector))
      throw new Error(`vector ${vector} has no error code`);
    this.#poke32(L.FAULT_KIND, this.i32(FAULT_EXCEPTION));
    this.#poke32(L.FAULT_VECTOR, this.i32(vector));
    this.#poke32(L.FAULT_ERROR, this.i32(errorCode ?? 0));
    this.fault();
  }
  raiseIf(condition: Value, vector: number, errorCode?: number): void {
    this.if(condition, () => this.raise(vector, errorCode));
  }
  system(): void {
    this.exitAtRecord(EXIT_SYSTEM);
  }

  // ---- operands

  /** Address of a register operand: from the record if it is one of the form's, else fixed. */
  #register(operand: Operand): Expression {
    const registers = this.#form.operands.filter((candidate) => registerField(candidate) !== undefined);
    const index = registers.indexOf(operand);
    if (index < 0) {
      const address = registerField(operand);
      if (address === undefined) throw new Error(`${this.#form.op}: a ${operand.kind} operand is not a register`);
      return this.i32(address);
    }
    return this.#field(this.#layout.registers[index], 'i32.load16_u');
  }
  #immediate(operand: Operand, size: Size): Expression {
    if (operand.kind !== 'immediate') throw new Error(`${this.#form.op}: ${operand.kind} is not an immediate`);
    const index = this.#form.operands.filter((candidate) => candidate.kind === 'immediate').indexOf(operand);
    if (index < 0)
      return size === 8 ? this.i64(operand.value) : this.i32(Number(BigInt.asUintN(size * 8, operand.value)));
    const narrow = size === 8 && this.#layout.immediateBytes === 4;
    return this.#field(this.#layout.immediates[index], narrow ? 'i64.load32_s' : loadOf(size));
  }

  read(operand: Operand, size: Size): Expression {
    switch (operand.kind) {
      case 'immediate':
        return this.#immediate(operand, size);
      case 'memory':
        return this.load(this.address(operand), size);
      case 'segment': {
        const selector = this.let(this.peek('i32.load16_u', this.#register(operand), 0));
        return size === 8 ? this.op('i64.extend_i32_u', selector) : selector;
      }
      default:
        return this.let(this.peek(loadOf(size), this.#register(operand), 0));
    }
  }
  readForWrite(operand: Operand, size: Size): Expression {
    return operand.kind === 'memory' ? this.load(this.address(operand), size, true) : this.read(operand, size);
  }
  write(operand: Operand, size: Size, value: Value): void {
    if (operand.kind === 'memory') this.store(this.address(operand), size, value);
    else this.#writeRegister(this.#register(operand), size, value);
  }
  #writeRegister(address: Value, size: Size, value: Value): void {
    if (value.type !== (size === 8 ? 'i64' : 'i32'))
      throw new Error(`${this.#form.op}: ${value.type} written to ${size} bytes`);
    if (size === 4) this.poke('i64.store', address, 0, this.op('i64.extend_i32_u', value));
    else this.poke(storeOf(size), address, 0, value);
  }
  gpr(register: number, size: Size): Expression {
    return this.let(this.peek(loadOf(size), this.i32(0), L.GPR + register * 8));
  }
  setGpr(register: number, size: Size, value: Value): void {
    this.#writeRegister(this.i32(L.GPR + register * 8), size, value);
  }

  readVector(operand: Operand, aligned = false): Expression {
    if (operand.kind === 'memory') return this.load128(this.address(operand), aligned);
    return this.let(this.peek('v128.load', this.#register(operand), 0));
  }
  writeVector(operand: Operand, value: Value, aligned = false): void {
    if (operand.kind === 'memory') this.store128(this.address(operand), value, aligned);
    else this.poke('v128.store', this.#register(operand), 0, value);
  }
  readVectorHigh(operand: Operand): Expression {
    return this.let(this.peek('v128.load', this.#register(operand), UPPER_HALF));
  }
  writeVectorHigh(operand: Operand, value: Value): void {
    this.poke('v128.store', this.#register(operand), UPPER_HALF, value);
  }
  readVectorLow(operand: Operand, size: 4 | 8): Expression {
    return this.read(operand, size);
  }
  writeVectorLow(operand: Operand, size: 4 | 8, value: Value): void {
    if (operand.kind === 'memory') this.store(this.address(operand), size, value);
    else this.poke(storeOf(size), this.#register(operand), 0, value);
  }
  readScalar(operand: Operand, size: 4 | 8): Expression {
    if (operand.kind === 'memory') return this.loadFloat(this.address(operand), size);
    return this.let(this.peek(size === 8 ? 'f64.load' : 'f32.load', this.#register(operand), 0));
  }
  writeScalar(operand: Operand, size: 4 | 8, value: Value): void {
    if (operand.kind === 'memory') this.store(this.address(operand), size, value);
    else this.poke(size === 8 ? 'f64.store' : 'f32.store', this.#register(operand), 0, value);
  }
  readAlone(operand: Operand, size: 4 | 8): Expression {
    return this.loadAlone(this.address(operand), size);
  }
  readMmx(operand: Operand): Expression {
    return this.read(operand, 8);
  }
  writeMmx(operand: Operand, value: Value): void {
    if (operand.kind === 'memory') return this.store(this.address(operand), 8, value);
    const register = this.#register(operand);
    this.poke('i64.store', register, 0, value);
    this.poke('i32.store16', register, 8, this.i32(0xffff));
  }
  stNumber(operand: Operand): Expression {
    return this.#register(operand);
  }

  address(operand: Operand): Expression {
    const known = this.#addresses.get(operand);
    if (known) return known;
    const linear = this.let(this.#linearAddress(operand as MemoryOperand));
    this.#addresses.set(operand, linear);
    return linear;
  }
  #field(field: number | undefined, name: MemoryInstruction): Expression {
    return this.peek(name, this.#record, this.#place(field));
  }
  #scaled(index: Value): Expression {
    const scale = this.op('i64.and', this.#field(this.#layout.index, 'i64.load8_u'), this.i64(SCALE_BITS));
    return this.op('i64.shl', index, scale);
  }
  elementAddress(operand: Operand, index: Value): Expression {
    const sum = this.op('i64.add', this.#effective(operand as MemoryOperand, 'b'), this.#scaled(index));
    return this.let(this.#linear(operand as MemoryOperand, this.#truncated(sum)));
  }
  #linearAddress(operand: MemoryOperand): Expression {
    return this.#linear(operand, this.#effective(operand));
  }
  #linear(operand: MemoryOperand, effective: Expression): Expression {
    if (this.#options.addressing !== 'g') return effective;
    const base = this.peek('i64.load', this.#segmentOf(operand), 0);
    const width = this.op('i64.and', this.#field(this.#layout.address, 'i64.load8_u'), this.i64(LINEAR_32));
    // Bit 7 of the field becomes a shift by 32.
    const clear = this.op('i64.shr_u', this.i64(-1), this.op('i64.shr_u', width, this.i64(2)));
    return this.op('i64.and', this.op('i64.add', base, effective), clear);
  }
  #effective(operand: MemoryOperand, addressing: Addressing = this.#options.addressing): Expression {
    if (operand.kind !== 'memory')
      throw new Error(`${this.#form.op}: a ${(operand as Operand).kind} operand has no address`);
    if (this.#isSecondMemory(operand))
      return this.#truncated(this.peek('i64.load', this.#field(this.#layout.secondBase, 'i32.load16_u'), 0));
    let sum = this.op(
      'i64.add',
      this.peek('i64.load', this.#field(this.#layout.base, 'i32.load16_u'), 0),
      this.#field(this.#layout.displacement, 'i64.load'),
    );
    if (addressing === 'b') return sum;
    const register = this.op('i32.and', this.#field(this.#layout.index, 'i32.load16_u'), this.i32(~SCALE_BITS));
    sum = this.op('i64.add', sum, this.#scaled(this.peek('i64.load', register, 0)));
    return addressing === 'x' ? sum : this.#truncated(sum);
  }
  #truncated(effective: Expression): Expression {
    // Shift counts are taken modulo 64, which hides LINEAR_32.
    const clear = this.#field(this.#layout.address, 'i64.load8_u');
    return this.op('i64.and', effective, this.op('i64.shr_u', this.i64(-1), clear));
  }
  /** Address of the base of its segment. */
  #segmentOf(operand: Operand): Expression {
    const { segment, secondSegment } = this.#layout;
    return this.#field(this.#isSecondMemory(operand) ? secondSegment : segment, 'i32.load16_u');
  }
  #isSecondMemory(operand: Operand): boolean {
    return (
      this.#form.operands.filter((candidate) => candidate.kind === 'memory').indexOf(operand as MemoryOperand) === 1
    );
  }
  effectiveAddress(operand: Operand): Expression {
    return this.let(this.#effective(operand as MemoryOperand));
  }

  addressFrom(operand: Operand, distance: Value): Expression {
    const memory = operand as MemoryOperand;
    const sum = this.op('i64.add', this.#effective(memory), distance);
    return this.let(this.#linear(memory, this.#options.addressing === 'g' ? this.#truncated(sum) : sum));
  }
  truncatedAddress(operand: Operand, offset: Value): Expression {
    if (this.#isSecondMemory(operand))
      throw new Error(`${this.#form.op}: only the first memory operand says its address size`);
    return this.#truncated(offset as Expression);
  }
  segmentAddress(segment: Operand | 'stack', offset: Value, bytes: number, write: boolean): Expression {
    const place = segment === 'stack' ? this.i32(L.SS) : this.#segmentOf(segment);
    return this.#checkedAddress(place, offset, this.i32(segmentAccess(bytes, write)));
  }
  #checkedAddress(segment: Value, offset: Value, access: Value): Expression {
    const linear = this.call('segmentAddress', segment, offset, access);
    this.faultIf(this.op('i64.eq', linear, this.i64(-1)));
    return linear;
  }
  /** The whole of the record that checks an operand before its instruction. */
  checkSegment(): void {
    const [operand] = this.#form.operands as [MemoryOperand];
    const access = this.#field(this.#layout.immediates[0], 'i32.load');
    this.#checkedAddress(this.#segmentOf(operand), this.#effective(operand), access);
  }

  // ---- flags

  setFlags(kind: FlagKind, size: Size, a: Value, b?: Value): void {
    if (this.#options.dropFlags) return;
    const width = Math.log2(size);
    const wide = (value: Value): Value => (value.type === 'i32' ? this.op('i64.extend_i32_u', value) : value);
    this.#poke32(L.CC_OP, this.i32(FLAG_KINDS[kind] * 4 + width));
    this.poke('i64.store', this.i32(0), L.CC_A, wide(a));
    if (b) this.poke('i64.store', this.i32(0), L.CC_B, wide(b));
    this.#known = this.nesting === 0 ? { kind, size, a, b } : undefined;
  }
  arithmeticFlags(): Expression {
    return this.#options.dropFlags ? this.i32(0) : this.call('arithmeticFlags');
  }
  carry(): Expression {
    return this.#options.dropFlags ? this.i32(0) : this.condition(2);
  }
  condition(cc: number): Expression {
    const known = this.#known && knownCondition(this, this.#known, cc);
    if (known) return this.let(known);
    const otherwise = (): Expression => this.call('condition', this.i32(cc));
    if (this.placement.dispatch === undefined) return otherwise();
    const flags = (): StoredFlags => ({
      state: this.let(this.peek('i32.load', this.i32(0), L.CC_OP)),
      a: this.let(this.peek('i64.load', this.i32(0), L.CC_A)),
      b: this.peek('i64.load', this.i32(0), L.CC_B),
    });
    return likelyCondition(this, cc, flags, otherwise);
  }
  direction(): Expression {
    const flags = this.peek('i32.load', this.i32(0), L.SYSTEM_FLAGS);
    const down = this.op('i32.and', this.op('i32.shr_u', flags, this.i32(9)), this.i32(2));
    return this.let(this.op('i64.sub', this.i64(1), this.op('i64.extend_i32_u', down)));
  }

  // ---- machine state

  loadState(address: number, size: Size): Expression {
    return this.let(this.peek(loadOf(size), this.i32(0), address));
  }
  storeState(address: number, size: Size, value: Value): void {
    this.poke(storeOf(size), this.i32(0), address, value);
  }
  loadStateF64(address: number): Expression {
    return this.let(this.peek('f64.load', this.i32(0), address));
  }

  // ---- ends of blocks

  jump(): void {
    this.#go(this.let(this.peek('i32.load', this.#record, this.#terminator + TERMINATOR.links + 4)));
  }
  jumpIf(condition: Value): void {
    const link = this.op('i32.add', this.#record, this.op('i32.shl', condition, this.i32(2)));
    this.#go(this.let(this.peek('i32.load', link, this.#terminator + TERMINATOR.links)));
  }
  jumpTo(target: Value): void {
    const rip = this.let(target);
    const gva = this.#form.legacy ? this.let(this.#inCodeSegment(rip)) : rip;
    const entry = this.#jumpCacheEntry(gva);
    this.if(this.op('i64.ne', this.peek('i64.load', entry, 0), gva), () => {
      this.poke('i64.store', this.i32(0), L.RIP, rip);
      this.#spend();
      this.#lookUp();
    });
    const record = this.let(this.peek('i32.load', entry, 8));
    this.touch(record, CACHE_LINE);
    this.#go(record);
  }
  /** Goes on at RIP, which the jump cache does not have. A function of its own leaves that to its caller. */
  #lookUp(): void {
    if (this.placement.lookUp === undefined) this.exit(EXIT_LOOKUP);
    else this.w.branch(this.placement.lookUp);
  }
  #inCodeSegment(rip: Expression): Expression {
    const sum = this.op('i64.add', this.peek('i64.load', this.i32(0), L.CS + L.SEG_BASE), rip);
    return this.op('i64.and', sum, this.i64(0xffff_ffff));
  }
  checkTarget(target: Value, pushed?: Value): void {
    if (!this.#form.legacy) return this.checkCanonical(target, pushed);
    const limit = this.op('i64.extend_i32_u', this.peek('i32.load', this.i32(0), L.CS + L.SEG_LIMIT));
    this.raiseIf(this.op('i64.gt_u', target, limit), VECTOR_GP, 0);
  }
  #jumpCacheEntry(gva: Expression): Expression {
    const low = this.let(this.op('i32.wrap_i64', gva));
    const shifted = (bits: number): Value => this.op('i32.shr_u', low, this.i32(bits));
    const hash = this.op('i32.xor', shifted(L.JC_LOW), shifted(L.JC_HIGH));
    const offset = this.op('i32.shl', this.op('i32.and', hash, this.i32(L.JC_ENTRIES - 1)), this.i32(L.JC_SHIFT));
    return this.let(this.op('i32.add', offset, this.peek('i32.load', this.i32(0), L.JC_BASE)));
  }
  nextRip(): Expression {
    this.#usesNext = true;
    return this.#field(this.#layout.next, 'i64.load');
  }

  // ---- handlers of stubs

  emitStub(handler: number, exitCode: number): void {
    const target = (): Expression => this.let(this.peek('i64.load', this.#record, STUB.target));
    if (handler !== HANDLER.far && handler !== HANDLER.farInSegment) {
      if (handler === HANDLER.unlinked) {
        const record = this.call('codeRecord', target(), this.#record);
        this.if(record, () => this.#continueAt(record));
      }
      this.exitAtRecord(exitCode);
      return;
    }
    const gva = target();
    const entry = this.#jumpCacheEntry(gva);
    this.if(this.op('i64.ne', this.peek('i64.load', entry, 0), gva), () => {
      const base = this.peek('i64.load', this.i32(0), L.CS + L.SEG_BASE);
      const offset = this.op('i64.and', this.op('i64.sub', gva, base), this.i64(0xffff_ffff));
      this.poke('i64.store', this.i32(0), L.RIP, handler === HANDLER.far ? gva : offset);
      this.#lookUp();
    });
    this.#continueAt(this.peek('i32.load', entry, 8));
    this.#ended = true;
  }
}

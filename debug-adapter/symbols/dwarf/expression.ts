/** Evaluating location expressions and location descriptions (DWARF 5, 2.5 and 2.6). */
import { SymbolError } from '../errors.ts';
import type { Die } from './die.ts';
import { Op } from './operations.ts';
import { ByteReader } from './reader.ts';
import { ofI386 } from './registers.ts';
import {
  arithmetic,
  baseKind,
  bitsFromFloat,
  convert,
  floatFromBits,
  integer,
  isFloat,
  type StackValue,
} from './stack-value.ts';
import type { Unit } from './unit.ts';

/** Where a value is. Addresses are run-time addresses. */
export type Location =
  | { readonly kind: 'memory'; readonly address: bigint }
  | { readonly kind: 'register'; readonly register: number }
  /** The value itself, as bits. */
  | { readonly kind: 'value'; readonly bits: bigint }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** A pointer to an object that is not in memory, whose entry still says its value. */
  | { readonly kind: 'implicit-pointer'; readonly target: Die | undefined; readonly offset: number }
  | { readonly kind: 'pieces'; readonly pieces: readonly Piece[] }
  | { readonly kind: 'optimized-out'; readonly reason?: string };

export interface Piece {
  readonly location: Location;
  readonly bits: number;
  /** Of the piece within its location. */
  readonly bitOffset: number;
}

/** What an expression may ask of the frame it is evaluated in. Everything may be unknown. */
export interface ExpressionContext {
  readonly unit: Unit | undefined;
  /** Of 32-bit code: i386's register numbers and words of 4 bytes. Registers are asked for as x86-64 numbers them all the same. */
  readonly narrow?: boolean;
  /** Run-time minus link-time address. */
  readonly bias: bigint;
  /** By DWARF number; up to 128 bits. */
  register(number: number): bigint | undefined;
  readMemory(address: bigint, bytes: number): Uint8Array | undefined;
  frameBase?(): bigint | undefined;
  canonicalFrameAddress?(): bigint | undefined;
  threadLocal?(offset: bigint): bigint | undefined;
  /** The value of a register on entry to the function, if the caller says it. */
  entryValue?(expression: Uint8Array): bigint | undefined;
  readonly objectAddress?: bigint;
}

/** An operand is not available: the value is optimized out as far as anyone can tell. */
class Unavailable extends Error {}

const MAX_STEPS = 20_000;
const MAX_STACK = 1_024;
const COMPARISONS = new Map([
  [Op.eq, 'eq'],
  [Op.ne, 'ne'],
  [Op.lt, 'lt'],
  [Op.le, 'le'],
  [Op.gt, 'gt'],
  [Op.ge, 'ge'],
  [Op.plus, 'plus'],
  [Op.minus, 'minus'],
  [Op.mul, 'mul'],
  [Op.div, 'div'],
  [Op.mod, 'mod'],
] as const);

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);

/** `stack` is the initial stack (the CFA, for CFI expressions). */
export function evaluateLocation(
  expression: Uint8Array,
  context: ExpressionContext,
  stack: readonly bigint[] = [],
): Location {
  if (expression.length === 0) return { kind: 'optimized-out' };
  try {
    return new Evaluation(expression, context, stack).run();
  } catch (error) {
    if (error instanceof Unavailable) return { kind: 'optimized-out', reason: error.message };
    throw error;
  }
}

/** The address or number an expression computes, whether or not it ends with DW_OP_stack_value; undefined if it cannot. */
export function evaluateNumber(
  expression: Uint8Array,
  context: ExpressionContext,
  stack: readonly bigint[] = [],
): bigint | undefined {
  const location = evaluateLocation(expression, context, stack);
  if (location.kind === 'memory') return location.address;
  if (location.kind === 'value') return location.bits;
  if (location.kind === 'register') return context.register(location.register);
  return undefined;
}

class Evaluation {
  readonly #reader: ByteReader;
  readonly #stack: StackValue[];
  readonly #pieces: Piece[] = [];
  /** A register or implicit location, which only DW_OP_piece may follow. */
  #located: Location | undefined;

  constructor(
    expression: Uint8Array,
    readonly context: ExpressionContext,
    stack: readonly bigint[],
  ) {
    this.#reader = new ByteReader(expression, 'A location expression');
    this.#stack = stack.map((bits) => ({ bits }));
  }

  run(): Location {
    for (let steps = 0; !this.#reader.atEnd; steps++) {
      if (steps > MAX_STEPS || this.#stack.length > MAX_STACK)
        throw new SymbolError('A location expression does not end.');
      this.#step(this.#reader.u8());
    }
    if (this.#pieces.length > 0) return { kind: 'pieces', pieces: this.#pieces };
    return this.#take();
  }

  /** The location described so far, consumed. */
  #take(): Location {
    const located = this.#located;
    this.#located = undefined;
    if (located) return located;
    const top = this.#stack.pop();
    if (!top) return { kind: 'optimized-out' };
    return { kind: 'memory', address: BigInt.asUintN(this.#word * 8, top.bits) };
  }

  #push(bits: bigint, kind?: StackValue['kind']): void {
    this.#stack.push({ bits: kind ? bits : u64(bits), kind });
  }
  #pop(): StackValue {
    const value = this.#stack.pop();
    if (!value) throw new SymbolError('A location expression takes more from its stack than is there.');
    return value;
  }
  #peek(depth: number): StackValue {
    const value = this.#stack[this.#stack.length - 1 - depth];
    if (!value) throw new SymbolError('A location expression takes more from its stack than is there.');
    return value;
  }
  get #word(): number {
    return this.context.narrow ? 4 : 8;
  }
  #number(register: number): number {
    return this.context.narrow ? ofI386(register) : register;
  }
  #register(number: number): bigint {
    const value = this.context.register(this.#number(number));
    if (value === undefined) throw new Unavailable(`Register ${number} is not known in this frame.`);
    return value;
  }
  #need(value: bigint | undefined, what: string): bigint {
    if (value === undefined) throw new Unavailable(`${what} is not known in this frame.`);
    return value;
  }
  /** Taken from the stack. */
  #address(): bigint {
    return BigInt.asUintN(this.#word * 8, this.#pop().bits);
  }
  #memory(address: bigint, size: number): bigint {
    const bytes = size <= 16 ? this.context.readMemory(address, size) : undefined;
    if (!bytes || bytes.length < size) throw new Unavailable(`Memory at 0x${address.toString(16)} cannot be read.`);
    let value = 0n;
    for (let index = size - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[index]!);
    return value;
  }
  #typeAt(offset: number): StackValue['kind'] {
    if (offset === 0) return undefined;
    const unit = this.context.unit;
    return unit ? baseKind(unit.dieAt(unit.offset + offset)) : undefined;
  }

  #step(op: number): void {
    const reader = this.#reader;
    if (op >= Op.lit0 && op <= Op.lit31) return this.#push(BigInt(op - Op.lit0));
    if (op >= Op.reg0 && op <= Op.reg31) {
      this.#located = { kind: 'register', register: this.#number(op - Op.reg0) };
      return;
    }
    if (op >= Op.breg0 && op <= Op.breg31) {
      const offset = reader.slebBig();
      return this.#push(this.#register(op - Op.breg0) + offset);
    }
    const binary = COMPARISONS.get(op as Op.eq);
    if (binary) {
      const b = this.#pop();
      const a = this.#pop();
      const { bits, kind } = arithmetic(binary, a, b);
      return this.#push(bits, kind);
    }
    if (this.#constant(op) || this.#logic(op) || this.#stackOperation(op) || this.#typed(op)) return;
    this.#located = this.#describe(op) ?? this.#located;
  }

  #constant(op: number): boolean {
    const reader = this.#reader;
    switch (op) {
      case Op.addr:
        this.#push((this.context.narrow ? BigInt(reader.u32()) : reader.u64()) + this.context.bias);
        return true;
      case Op.addrx:
      case Op.constx: {
        const value = this.context.unit?.indexedAddress(reader.uleb());
        if (value === undefined) throw new Unavailable('An address of .debug_addr is missing.');
        this.#push(BigInt(value) + (op === Op.addrx ? this.context.bias : 0n));
        return true;
      }
      case Op.const1u:
        this.#push(BigInt(reader.u8()));
        return true;
      case Op.const1s:
        this.#push(BigInt(reader.i8()));
        return true;
      case Op.const2u:
        this.#push(BigInt(reader.u16()));
        return true;
      case Op.const2s:
        this.#push(BigInt(reader.i16()));
        return true;
      case Op.const4u:
        this.#push(BigInt(reader.u32()));
        return true;
      case Op.const4s:
        this.#push(BigInt(reader.i32()));
        return true;
      case Op.const8u:
      case Op.const8s:
        this.#push(reader.u64());
        return true;
      case Op.constu:
        this.#push(reader.ulebBig());
        return true;
      case Op.consts:
        this.#push(reader.slebBig());
        return true;
      default:
        return false;
    }
  }

  #logic(op: number): boolean {
    switch (op) {
      case Op.and:
      case Op.or:
      case Op.xor: {
        const b = this.#pop();
        const a = this.#pop();
        this.#push(op === Op.and ? a.bits & b.bits : op === Op.or ? a.bits | b.bits : a.bits ^ b.bits, a.kind);
        return true;
      }
      case Op.shl:
      case Op.shr:
      case Op.shra: {
        const count = u64(this.#pop().bits);
        const a = this.#pop();
        const width = (a.kind?.size ?? 8) * 8;
        const by = count > BigInt(width) ? BigInt(width) : count;
        const bits =
          op === Op.shl
            ? a.bits << by
            : op === Op.shr
              ? BigInt.asUintN(width, a.bits) >> by
              : BigInt.asIntN(width, a.bits) >> by;
        this.#push(BigInt.asUintN(width, bits), a.kind);
        return true;
      }
      case Op.not:
      case Op.neg:
      case Op.abs: {
        const a = this.#pop();
        this.#push(negated(op, a), a.kind);
        return true;
      }
      case Op.plus_uconst: {
        const a = this.#pop();
        this.#push(a.bits + this.#reader.ulebBig(), a.kind);
        return true;
      }
      default:
        return false;
    }
  }

  #stackOperation(op: number): boolean {
    const reader = this.#reader;
    switch (op) {
      case Op.nop:
        return true;
      case Op.dup:
        this.#stack.push(this.#peek(0));
        return true;
      case Op.drop:
        this.#pop();
        return true;
      case Op.over:
        this.#stack.push(this.#peek(1));
        return true;
      case Op.pick:
        this.#stack.push(this.#peek(reader.u8()));
        return true;
      case Op.swap: {
        const a = this.#pop();
        const b = this.#pop();
        this.#stack.push(a, b);
        return true;
      }
      case Op.rot: {
        const a = this.#pop();
        const b = this.#pop();
        const c = this.#pop();
        this.#stack.push(a, c, b);
        return true;
      }
      case Op.skip:
      case Op.bra: {
        const distance = reader.i16();
        if (op === Op.skip || this.#pop().bits !== 0n) this.#jump(reader.offset + distance);
        return true;
      }
      case Op.deref:
        this.#push(this.#memory(this.#address(), this.#word));
        return true;
      case Op.deref_size: {
        const size = reader.u8();
        this.#push(this.#memory(this.#address(), size));
        return true;
      }
      case Op.push_object_address:
        this.#push(this.#need(this.context.objectAddress, 'The address of the object'));
        return true;
      case Op.fbreg: {
        const offset = reader.slebBig();
        this.#push(this.#need(this.context.frameBase?.(), 'The frame base') + offset);
        return true;
      }
      case Op.bregx: {
        const register = reader.uleb();
        const offset = reader.slebBig();
        this.#push(this.#register(register) + offset);
        return true;
      }
      case Op.call_frame_cfa:
        this.#push(this.#need(this.context.canonicalFrameAddress?.(), 'The canonical frame address'));
        return true;
      case Op.form_tls_address:
      case Op.GNU_push_tls_address:
        this.#push(this.#need(this.context.threadLocal?.(this.#pop().bits), 'The thread-local storage'));
        return true;
      case Op.entry_value:
      case Op.GNU_entry_value: {
        const expression = reader.block(reader.uleb());
        this.#push(this.#need(this.context.entryValue?.(expression), 'The value on entry to the function'));
        return true;
      }
      default:
        return false;
    }
  }

  #jump(offset: number): void {
    if (offset < 0 || offset > this.#reader.end) throw new SymbolError('A location expression jumps outside itself.');
    this.#reader.offset = offset;
  }

  #typed(op: number): boolean {
    const reader = this.#reader;
    switch (op) {
      case Op.const_type:
      case Op.GNU_const_type: {
        const kind = this.#typeAt(reader.uleb());
        const bytes = reader.block(reader.u8());
        this.#push(littleEndian(bytes), kind);
        return true;
      }
      case Op.regval_type:
      case Op.GNU_regval_type: {
        const register = reader.uleb();
        const kind = this.#typeAt(reader.uleb());
        this.#push(BigInt.asUintN((kind?.size ?? 8) * 8, this.#register(register)), kind);
        return true;
      }
      case Op.deref_type:
      case Op.GNU_deref_type: {
        const size = reader.u8();
        const kind = this.#typeAt(reader.uleb());
        this.#push(this.#memory(this.#address(), size), kind);
        return true;
      }
      case Op.convert:
      case Op.GNU_convert: {
        const { bits, kind } = convert(this.#pop(), this.#typeAt(reader.uleb()));
        this.#push(bits, kind);
        return true;
      }
      case Op.reinterpret:
      case Op.GNU_reinterpret: {
        const kind = this.#typeAt(reader.uleb());
        this.#push(BigInt.asUintN((kind?.size ?? 8) * 8, this.#pop().bits), kind);
        return true;
      }
      default:
        return false;
    }
  }

  /** Location descriptions other than memory (2.6.1). */
  #describe(op: number): Location | undefined {
    const reader = this.#reader;
    switch (op) {
      case Op.regx:
        return { kind: 'register', register: this.#number(reader.uleb()) };
      case Op.implicit_value:
        return { kind: 'bytes', bytes: reader.block(reader.uleb()) };
      case Op.stack_value:
        return { kind: 'value', bits: this.#pop().bits };
      case Op.implicit_pointer:
      case Op.GNU_implicit_pointer: {
        const unit = this.context.unit;
        const target = reader.unsigned(unit?.offsetSize ?? 4);
        return { kind: 'implicit-pointer', target: unit?.dwarf.dieAt(target), offset: reader.sleb() };
      }
      case Op.piece: {
        const bits = reader.uleb() * 8;
        this.#pieces.push({ location: this.#take(), bits, bitOffset: 0 });
        return undefined;
      }
      case Op.bit_piece: {
        const bits = reader.uleb();
        this.#pieces.push({ location: this.#take(), bits, bitOffset: reader.uleb() });
        return undefined;
      }
      case Op.GNU_parameter_ref:
        throw new Unavailable('The value is only known in the caller.');
      default:
        throw new SymbolError(`A location expression uses the unknown operation 0x${op.toString(16)}.`);
    }
  }
}

function negated(op: number, a: StackValue): bigint {
  if (isFloat(a.kind)) {
    const value = floatFromBits(a.bits, a.kind!.size);
    return bitsFromFloat(op === Op.abs ? Math.abs(value) : -value, a.kind!.size);
  }
  const width = (a.kind?.size ?? 8) * 8;
  const value = integer(a);
  return BigInt.asUintN(width, op === Op.not ? ~value : op === Op.neg || value < 0n ? -value : value);
}

export function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let index = bytes.length - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[index]!);
  return value;
}

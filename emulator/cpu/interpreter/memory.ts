/**
 * Guest memory: the TLB's fast path inline, the slow path a call. Shared by every back-end.
 *
 * The hit test `tag == (va + size - 1) & ~0xfff` compares the page of the last byte with the tag of the first byte's entry, so that an access that
 * crosses a page misses.
 */
import type { Size, Value, ValueType } from '../emitter.ts';
import { CACHE_LINE, TOUCHED_BYTES } from '../code-layout.ts';
import * as L from '../layout.ts';
import type { MemoryInstruction } from '../wasm/opcodes.ts';
import { typeOf, ValueEmitter } from './values.ts';
import type { Expression } from './values.ts';

const PAGE = 0xffff_ffff_ffff_f000n;
const LOAD: Record<Size, MemoryInstruction> = { 1: 'i32.load8_u', 2: 'i32.load16_u', 4: 'i32.load', 8: 'i64.load' };
const STORE: Record<Size, MemoryInstruction> = { 1: 'i32.store8', 2: 'i32.store16', 4: 'i32.store', 8: 'i64.store' };

const LOAD_FLOAT = { 4: 'f32.load', 8: 'f64.load' } as const;
const LOAD_ALONE = { 4: 'v128.load32_zero', 8: 'v128.load64_zero' } as const;

export const loadOf = (size: Size): MemoryInstruction => LOAD[size];
export const storeOf = (size: Size): MemoryInstruction => STORE[size];

function storeFor(type: ValueType, size: Size): MemoryInstruction {
  if (type === (size === 8 ? 'i64' : 'i32')) return STORE[size];
  if (type === 'f64' && size === 8) return 'f64.store';
  if (type === 'f32' && size === 4) return 'f32.store';
  throw new Error(`${type} stored to ${size} bytes`);
}

/** Bytes that can be accessed for certain: at a host offset and a constant. */
export interface DirectAccess {
  readonly host: Expression;
  readonly offset: number;
}

export abstract class MemoryEmitter extends ValueEmitter {
  /** Host offsets of addresses that `load(..., forWrite)` found directly writable (0: not so), by address value. */
  readonly #writable = new Map<Value, Expression>();

  /** The `site` argument of slow paths. */
  protected abstract site(): Value;
  /** TLB_BASE, as an i32. */
  protected abstract tlbBase(): Value;
  /** Ends the instruction: FAULT_* is filled. */
  protected abstract fault(): void;

  /** Asked before each access: a back-end may have made sure of it. Undefined: the TLB is looked up here. */
  protected direct(_address: Value, _bytes: number, _write: boolean): DirectAccess | undefined {
    return undefined;
  }

  /** #GP(0) at a branch whose target (i64) is not canonical. Most are, whatever the width of linear addresses. Faults of the 8 bytes at `pushed` come first. */
  protected checkCanonical(target: Value, pushed?: Value): void {
    const upper = this.op('i64.shr_u', this.op('i64.add', target, this.i64(1n << 47n)), this.i64(48));
    this.if(this.op('i32.wrap_i64', upper), () => {
      if (pushed) this.faultIf(this.call('probeWrite', pushed, this.i32(8)));
      this.faultIf(this.call('checkBranch', target));
    });
  }

  protected forgetAddresses(): void {
    this.#writable.clear();
  }

  /** Pushes "the entry of `address` has it, for `bytes` bytes" and answers the local that holds the entry. */
  protected pushHit(address: Expression, bytes: number, tag: number): Expression {
    const page = this.op('i32.shr_u', this.op('i32.wrap_i64', address), this.i32(12 - L.TLB_SHIFT));
    const offset = this.op('i32.and', page, this.i32((L.TLB_ENTRIES - 1) << L.TLB_SHIFT));
    const entry = this.let(this.op('i32.add', offset, this.tlbBase()));
    const last = bytes > 1 ? this.op('i64.add', address, this.i64(bytes - 1)) : address;
    this.push(this.op('i64.eq', this.peek('i64.load', entry, tag), this.op('i64.and', last, this.i64(PAGE))));
    return entry;
  }
  protected pushHost(address: Expression, entry: Expression): void {
    this.push(this.op('i32.add', this.op('i32.wrap_i64', address), this.peek('i32.load', entry, L.TLB_ADDEND)));
  }

  /** Leaves the host offset of readable bytes on the stack. */
  #pushReadable(address: Expression, bytes: number): void {
    const entry = this.pushHit(address, bytes, L.TLB_READ);
    this.w.if('i32');
    this.pushHost(address, entry);
    this.w.else();
    this.#pushSlow('slowLoad', address, bytes);
    this.w.end();
  }
  #pushSlow(helper: 'slowLoad' | 'slowLoadForWrite', address: Expression, bytes: number): void {
    const host = this.call(helper, address, this.i32(bytes), this.site());
    this.faultIf(this.op('i32.eq', host, this.i32(-1)));
    this.push(host);
  }

  /** Has the host fetch the lines of a block's records, from this one on (code-layout.ts, TOUCHED_BYTES). */
  touch(record: Value, from = 0): void {
    for (let line = from; line < TOUCHED_BYTES; line += CACHE_LINE) {
      this.push(this.peek('i32.load8_u', record, line));
      this.w.plain(0x1a); // drop
    }
  }

  faultIf(condition: Value): void {
    this.if(condition, () => this.fault());
  }

  load(address: Value, size: Size, forWrite = false): Expression {
    return this.#load(LOAD[size], address, size, forWrite);
  }
  /** As f32 or f64. */
  loadFloat(address: Value, size: 4 | 8): Expression {
    return this.#load(LOAD_FLOAT[size], address, size);
  }
  /** In the low lane of a vector, zeros above. */
  loadAlone(address: Value, size: 4 | 8): Expression {
    return this.#load(LOAD_ALONE[size], address, size);
  }
  #load(name: MemoryInstruction, address: Value, bytes: number, forWrite = false): Expression {
    const direct = this.direct(address, bytes, forWrite);
    if (direct) return this.let(this.peek(name, direct.host, direct.offset));
    const at = this.let(address);
    if (forWrite) this.#pushReadableForWrite(address, at, bytes);
    else this.#pushReadable(at, bytes);
    this.w.memory(name, 0);
    return this.#result(typeOf(name));
  }
  #result(type: ValueType): Expression {
    const index = this.temporary(type);
    this.w.localSet(index);
    return this.local(index, type);
  }
  #pushReadableForWrite(key: Value, address: Expression, size: number): void {
    const host = this.variable('i32', this.i32(0));
    const entry = this.pushHit(address, size, L.TLB_WRITE);
    this.w.if('i32');
    this.pushHost(address, entry);
    const direct = this.#result('i32');
    this.set(host, direct);
    this.push(direct);
    this.w.else();
    this.#pushSlow('slowLoadForWrite', address, size);
    this.w.end();
    this.#writable.set(key, this.get(host));
    if (address !== key) this.#writable.set(address, this.get(host));
  }

  store(address: Value, size: Size, value: Value): void {
    const name = storeFor(value.type, size);
    const direct = this.direct(address, size, true);
    if (direct) return this.poke(name, direct.host, direct.offset, value);
    const at = this.let(address);
    const what = this.let(value);
    const host = this.#writable.get(address) ?? this.#writable.get(at);
    if (host) {
      this.push(host);
      this.w.if();
      this.poke(name, host, 0, what);
    } else {
      const entry = this.pushHit(at, size, L.TLB_WRITE);
      this.w.if();
      this.pushHost(at, entry);
      this.push(what);
      this.w.memory(name, 0);
    }
    this.w.else();
    const bits = this.#bitsOf(what);
    const wide = size === 8 ? bits : this.op('i64.extend_i32_u', bits);
    this.faultIf(this.call('slowStore', at, this.i32(size), this.site(), wide));
    this.w.end();
  }

  #bitsOf(value: Expression): Expression {
    if (value.type === 'f64') return this.op('i64.reinterpret_f64', value);
    return value.type === 'f32' ? this.op('i32.reinterpret_f32', value) : value;
  }

  load128(address: Value, aligned = false): Expression {
    const at = this.let(address);
    if (aligned) this.#checkAlignment(at);
    return this.#load('v128.load', at, 16);
  }
  store128(address: Value, value: Value, aligned = false): void {
    const at = this.let(address);
    const what = this.let(value);
    if (aligned) this.#checkAlignment(at);
    const direct = this.direct(address, 16, true);
    if (direct) return this.poke('v128.store', direct.host, direct.offset, what);
    const entry = this.pushHit(at, 16, L.TLB_WRITE);
    this.w.if();
    this.pushHost(at, entry);
    this.push(what);
    this.w.memory('v128.store', 0);
    this.w.else();
    this.poke('v128.store', this.i32(0), L.BOUNCE, what);
    this.faultIf(this.call('slowStore128', at, this.site()));
    this.w.end();
  }
  load256(address: Value): [Expression, Expression] {
    const at = this.let(address);
    const direct = this.direct(address, 32, false) ?? { host: this.#readable(at, 32), offset: 0 };
    const half = (offset: number): Expression => this.let(this.peek('v128.load', direct.host, direct.offset + offset));
    return [half(0), half(16)];
  }
  #readable(address: Expression, bytes: number): Expression {
    this.#pushReadable(address, bytes);
    return this.#result('i32');
  }
  store256(address: Value, low: Value, high: Value): void {
    const at = this.let(address);
    const halves = [this.let(low), this.let(high)] as const;
    const put = (host: Value, offset: number): void =>
      halves.forEach((half, index) => this.poke('v128.store', host, offset + index * 16, half));
    const direct = this.direct(address, 32, true);
    if (direct) return put(direct.host, direct.offset);
    const entry = this.pushHit(at, 32, L.TLB_WRITE);
    this.w.if();
    this.pushHost(at, entry);
    put(this.#result('i32'), 0);
    this.w.else();
    put(this.i32(0), L.BOUNCE);
    this.faultIf(this.call('slowStore256', at, this.site()));
    this.w.end();
  }
  probeWrite(address: Value, bytes: number): void {
    const at = this.let(address);
    this.pushHit(at, bytes, L.TLB_WRITE);
    this.w.plain(0x45); // i32.eqz
    this.w.if();
    this.nesting++;
    this.faultIf(this.call('probeWrite', at, this.i32(bytes)));
    this.nesting--;
    this.w.end();
  }

  #checkAlignment(address: Expression): void {
    const low = this.op('i32.and', this.op('i32.wrap_i64', address), this.i32(15));
    this.raiseIf(low, VECTOR_GP, 0);
  }
  abstract raiseIf(condition: Value, vector: number, errorCode?: number): void;
}

const VECTOR_GP = 13;

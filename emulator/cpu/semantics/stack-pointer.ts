/**
 * The stack as pushes and pops see it. In 64-bit mode SS has base 0 and RSP is 64 bits wide; elsewhere SS.B says whether SP or ESP counts, and SS has a
 * base and a limit (SDM 3A 3.4.5, 1 6.2.3). Pointers are i64, zero-extended from their width.
 */
import type { Emitter, Form, Size, Value } from '../emitter.ts';
import { constant, RBP, RSP, toI64 } from './operations.ts';

/** Bytes of the stack pointer. */
export function stackWidth({ legacy }: Form): Size {
  if (legacy === undefined) return 8;
  return legacy === '2' ? 2 : 4;
}

/** A value cut to the width of the stack pointer. */
export function wrapped(e: Emitter, form: Form, pointer: Value): Value {
  const width = stackWidth(form);
  return width === 8 ? pointer : e.op('i64.and', pointer, e.i64(width === 4 ? 0xffff_ffff : 0xffff));
}

function pointer(e: Emitter, form: Form, register: number): Value {
  return toI64(e, stackWidth(form), e.gpr(register, stackWidth(form)));
}
export const stackPointer = (e: Emitter, form: Form): Value => pointer(e, form, RSP);
export const framePointer = (e: Emitter, form: Form): Value => pointer(e, form, RBP);

export function setStackPointer(e: Emitter, form: Form, value: Value): void {
  const width = stackWidth(form);
  e.setGpr(RSP, width, width === 8 ? value : e.op('i32.wrap_i64', value));
}

/** `pointer` moved by a number of bytes. */
export function above(e: Emitter, form: Form, pointer: Value, bytes: number): Value {
  return wrapped(e, form, e.op('i64.add', pointer, e.i64(bytes)));
}
export function below(e: Emitter, form: Form, pointer: Value, bytes: number): Value {
  return wrapped(e, form, e.op('i64.sub', pointer, e.i64(bytes)));
}

/** Linear address of an item on the stack. */
function linear(e: Emitter, form: Form, pointer: Value, size: Size, write: boolean): Value {
  if (form.legacy === '4' || form.legacy === '2') return e.segmentAddress('stack', pointer, size, write);
  return pointer;
}

export function loadStack(e: Emitter, form: Form, pointer: Value, size: Size): Value {
  return e.load(linear(e, form, pointer, size, false), size);
}
export function storeStack(e: Emitter, form: Form, pointer: Value, size: Size, value: Value): void {
  e.store(linear(e, form, pointer, size, true), size, value);
}

/** Stores below the top of the stack, then moves it. */
export function push(e: Emitter, form: Form, size: Size, value: Value): void {
  const top = e.let(below(e, form, stackPointer(e, form), size));
  storeStack(e, form, top, size, value);
  setStackPointer(e, form, top);
}

/** An i64 as an item of `size` bytes. */
export function item(e: Emitter, size: Size, value: Value): Value {
  if (size === 8) return value;
  const low = e.op('i32.wrap_i64', value);
  return size === 2 ? e.op('i32.and', low, constant(e, 4, 0xffff)) : low;
}

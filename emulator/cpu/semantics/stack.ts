/** PUSH, POP, ENTER, LEAVE, PUSHF, PUSHA, POPA (SDM 2A, 2B). */
import { RFLAGS_IOPL, RFLAGS_RF, RFLAGS_VM } from '../control-bits.ts';
import type { Emitter, Form, Semantic, Size, Value } from '../emitter.ts';
import { SYSTEM_FLAGS } from '../layout.ts';
import { RBP, RSP, sizeOf } from './operations.ts';
import {
  above,
  below,
  framePointer,
  item,
  loadStack,
  push,
  setStackPointer,
  stackPointer,
  storeStack,
  wrapped,
} from './stack-pointer.ts';

/** What PUSHF stores as 0. */
const NOT_PUSHED = RFLAGS_RF | RFLAGS_VM;
const ALWAYS_SET = 2;
const VM_AND_IOPL = RFLAGS_VM | RFLAGS_IOPL;
const GENERAL_PROTECTION = 13;

/** Virtual-8086 mode with IOPL below 3: its monitor is asked (SDM 3B 21.2.7). */
function refuseVirtual8086(e: Emitter, form: Form): void {
  if (form.legacy === undefined) return;
  const flags = e.op('i32.and', e.loadState(SYSTEM_FLAGS, 4), e.i32(VM_AND_IOPL));
  const virtual = e.op('i32.and', flags, e.i32(RFLAGS_VM));
  e.raiseIf(
    e.op('i32.and', e.op('i32.ne', virtual, e.i32(0)), e.op('i32.ne', flags, e.i32(VM_AND_IOPL))),
    GENERAL_PROTECTION,
    0,
  );
}

export const stack: Record<string, Semantic> = {
  push: (e, form) => {
    const size = sizeOf(form);
    push(e, form, size, e.let(e.read(form.operands[0]!, size)));
  },

  pop: (e, form) => {
    const size = sizeOf(form);
    const destination = form.operands[0]!;
    const top = e.let(stackPointer(e, form));
    const value = e.let(loadStack(e, form, top, size));
    const popped = e.let(above(e, form, top, size));
    if (destination.kind !== 'memory') {
      setStackPointer(e, form, popped);
      return e.write(destination, size, value);
    }
    // An address based on RSP uses the value after the pop; should the store fault, RSP must be the one before.
    setStackPointer(e, form, popped);
    const place = e.let(form.legacy ? e.effectiveAddress(destination) : e.address(destination));
    setStackPointer(e, form, top);
    e.store(form.legacy ? e.segmentAddress(destination, place, size, true) : place, size, value);
    setStackPointer(e, form, popped);
  },

  pushf: (e, form) => {
    const size = sizeOf(form);
    refuseVirtual8086(e, form);
    const system = e.op('i32.and', e.loadState(SYSTEM_FLAGS, 4), e.i32(~NOT_PUSHED));
    const flags = e.let(e.op('i32.or', e.op('i32.or', e.arithmeticFlags(), system), e.i32(ALWAYS_SET)));
    const value =
      size === 8 ? e.op('i64.extend_i32_u', flags) : size === 4 ? flags : e.op('i32.and', flags, e.i32(0xffff));
    push(e, form, size, value);
  },

  leave: (e, form) => {
    const size = sizeOf(form);
    const frame = e.let(framePointer(e, form));
    const caller = e.let(loadStack(e, form, frame, size));
    setStackPointer(e, form, above(e, form, frame, size));
    e.setGpr(RBP, size, caller);
  },

  // Nesting levels above 0 copy the display of enclosing frames; only memory below RSP is written before the last fault.
  enter: (e, form) => {
    const size = sizeOf(form);
    const allocated = e.op('i64.extend_i32_u', e.read(form.operands[0]!, 4));
    const level = e.let(e.op('i32.and', e.read(form.operands[1]!, 4), e.i32(31)));
    const frame = e.let(below(e, form, stackPointer(e, form), size));
    storeStack(e, form, frame, size, e.gpr(RBP, size));
    const top = e.variable('i64', frame);
    e.if(level, () => {
      const left = e.variable('i32', level);
      const display = e.variable('i64', framePointer(e, form));
      e.loop((exit, again) => {
        e.set(left, e.op('i32.sub', e.get(left), e.i32(1)));
        e.if(e.op('i32.eqz', e.get(left)), exit);
        e.set(display, below(e, form, e.get(display), size));
        e.set(top, below(e, form, e.get(top), size));
        const copied = e.let(loadStack(e, form, e.let(e.get(display)), size));
        storeStack(e, form, e.let(e.get(top)), size, copied);
        again();
      });
      e.set(top, below(e, form, e.get(top), size));
      storeStack(e, form, e.let(e.get(top)), size, frameValue(e, form, size, frame));
    });
    const final = e.let(wrapped(e, form, e.op('i64.sub', e.get(top), allocated)));
    tryPush(e, form, final, size);
    e.setGpr(RBP, size, frameValue(e, form, size, frame));
    setStackPointer(e, form, final);
  },

  pusha: (e, form) => {
    const size = sizeOf(form);
    const top = e.let(stackPointer(e, form));
    const places = REGISTERS.map((_, index) => e.let(below(e, form, top, (index + 1) * size)));
    // The last may fault after the first: all are tried before any is written.
    const addresses = places.map((place) => tryPush(e, form, place, size));
    REGISTERS.forEach((register, index) => e.store(addresses[index]!, size, e.gpr(register, size)));
    setStackPointer(e, form, places.at(-1)!);
  },

  popa: (e, form) => {
    const size = sizeOf(form);
    const top = e.let(stackPointer(e, form));
    const values = REGISTERS.map((_, index) =>
      e.let(loadStack(e, form, e.let(above(e, form, top, index * size)), size)),
    );
    REGISTERS.toReversed().forEach((register, index) => {
      if (register !== RSP) e.setGpr(register, size, values[index]!);
    });
    setStackPointer(e, form, above(e, form, top, REGISTERS.length * size));
  },
};

/** What ENTER makes of RBP; a 32-bit one on a 16-bit stack takes the upper half of ESP along. */
function frameValue(e: Emitter, form: Form, size: Size, frame: Value): Value {
  if (form.legacy !== '2' || size !== 4) return item(e, size, frame);
  const high = e.op('i32.and', e.gpr(RSP, 4), e.i32(0xffff0000 | 0));
  return e.let(e.op('i32.or', high, e.op('i32.wrap_i64', frame)));
}

/** AX CX DX BX SP BP SI DI: in the order that PUSHA pushes them. */
const REGISTERS = [0, 1, 2, 3, 4, 5, 6, 7] as const;

function tryPush(e: Emitter, form: Form, place: Value, size: Size): Value {
  const address = !form.legacy || form.legacy === 'f' ? place : e.segmentAddress('stack', place, size, true);
  e.probeWrite(address, size);
  return address;
}

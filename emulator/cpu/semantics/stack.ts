/** PUSH, POP, ENTER, LEAVE, PUSHF (SDM 2A, 2B) in 64-bit mode: SS has base 0 and RSP is 64 bits wide. */
import type { Emitter, Semantic, Size, Value } from '../emitter.ts';
import { SYSTEM_FLAGS } from '../layout.ts';
import { RBP, RSP, sizeOf } from './operations.ts';

/** RFLAGS bits that PUSHF stores as 0: RF and VM. */
const NOT_PUSHED = 0x30000;
const ALWAYS_SET = 2;

function push(e: Emitter, size: Size, value: Value): void {
  const top = e.let(e.op('i64.sub', e.gpr(RSP, 8), e.i64(size)));
  e.store(top, size, value);
  e.setGpr(RSP, 8, top);
}

export const stack: Record<string, Semantic> = {
  push: (e, form) => {
    const size = sizeOf(form);
    push(e, size, e.let(e.read(form.operands[0]!, size)));
  },

  pop: (e, form) => {
    const size = sizeOf(form);
    const destination = form.operands[0]!;
    const top = e.let(e.gpr(RSP, 8));
    const value = e.let(e.load(top, size));
    const popped = e.let(e.op('i64.add', top, e.i64(size)));
    if (destination.kind !== 'memory') {
      e.setGpr(RSP, 8, popped);
      return e.write(destination, size, value);
    }
    // An address based on RSP uses the value after the pop; should the store fault, RSP must be the one before.
    e.setGpr(RSP, 8, popped);
    const address = e.let(e.address(destination));
    e.setGpr(RSP, 8, top);
    e.store(address, size, value);
    e.setGpr(RSP, 8, popped);
  },

  pushf: (e, form) => {
    const size = sizeOf(form);
    const system = e.op('i32.and', e.loadState(SYSTEM_FLAGS, 4), e.i32(~NOT_PUSHED));
    const flags = e.let(e.op('i32.or', e.op('i32.or', e.arithmeticFlags(), system), e.i32(ALWAYS_SET)));
    push(e, size, size === 8 ? e.op('i64.extend_i32_u', flags) : e.op('i32.and', flags, e.i32(0xffff)));
  },

  leave: (e, form) => {
    const size = sizeOf(form);
    const frame = e.let(e.gpr(RBP, 8));
    const caller = e.let(e.load(frame, size));
    e.setGpr(RSP, 8, e.op('i64.add', frame, e.i64(size)));
    e.setGpr(RBP, size, caller);
  },

  // Nesting levels above 0 copy the display of enclosing frames; only memory below RSP is written before the last fault.
  enter: (e, form) => {
    const size = sizeOf(form);
    const bytes = e.i64(size);
    const allocated = e.op('i64.extend_i32_u', e.read(form.operands[0]!, 4));
    const level = e.let(e.op('i32.and', e.read(form.operands[1]!, 4), e.i32(31)));
    const frame = e.let(e.op('i64.sub', e.gpr(RSP, 8), bytes));
    e.store(frame, size, e.gpr(RBP, size));
    const top = e.variable('i64', frame);
    e.if(level, () => {
      const left = e.variable('i32', level);
      const display = e.variable('i64', e.gpr(RBP, 8));
      e.loop((exit, again) => {
        e.set(left, e.op('i32.sub', e.get(left), e.i32(1)));
        e.if(e.op('i32.eqz', e.get(left)), exit);
        e.set(display, e.op('i64.sub', e.get(display), bytes));
        e.set(top, e.op('i64.sub', e.get(top), bytes));
        e.store(e.let(e.get(top)), size, e.let(e.load(e.let(e.get(display)), size)));
        again();
      });
      e.set(top, e.op('i64.sub', e.get(top), bytes));
      e.store(
        e.let(e.get(top)),
        size,
        size === 8 ? frame : e.op('i32.and', e.op('i32.wrap_i64', frame), e.i32(0xffff)),
      );
    });
    e.setGpr(RBP, size, size === 8 ? frame : e.op('i32.and', e.op('i32.wrap_i64', frame), e.i32(0xffff)));
    e.setGpr(RSP, 8, e.op('i64.sub', e.get(top), allocated));
  },
};

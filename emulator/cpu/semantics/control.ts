/** Branches, calls, no-operations and flag instructions (SDM 2A, 2B). */
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { BOARD, NON_ROOT, SYSTEM_FLAGS } from '../layout.ts';
import { CF, compare, constant, DF, OF, RAX, RCX, replaceFlags, sizeOf, toI64, wide } from './operations.ts';
import { below, item, loadStack, push, setStackPointer, stackPointer, wrapped } from './stack-pointer.ts';

const INVALID_OPCODE = 6;

const nothing: Semantic = () => undefined;
const invalid: Semantic = (e) => e.raise(INVALID_OPCODE);

function pushReturnAddress(e: Emitter, form: Form): void {
  const size = sizeOf(form);
  push(e, form, size, item(e, size, e.nextRip()));
}

/** Where a branch through a register or memory leads: RIP, EIP or IP, as an i64. */
function indirectTarget(e: Emitter, form: Form): Value {
  const size = sizeOf(form);
  return e.let(toI64(e, size, e.read(form.operands[0]!, size)));
}

/** LOOP, LOOPE, LOOPNE: `size` is that of the count register (the address size). */
function counted(alsoIf?: (e: Emitter) => Value): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const left = e.let(
      size === 2
        ? e.op('i32.and', wide(e, 2, 'sub', e.gpr(RCX, 2), e.i32(1)), e.i32(0xffff))
        : wide(e, size, 'sub', e.gpr(RCX, size), constant(e, size, 1)),
    );
    const more = compare(e, size, 'ne', left, constant(e, size, 0));
    const taken = e.let(alsoIf ? e.op('i32.and', more, alsoIf(e)) : more);
    e.setGpr(RCX, size, left);
    e.jumpIf(taken);
  };
}

const EQUAL = 4;
const NOT_EQUAL = 5;
/** SF ZF AF PF CF: what AH holds for LAHF and SAHF. */
const AH_FLAGS = 0xd5;

function direction(down: boolean): Semantic {
  return (e) => {
    const flags = e.loadState(SYSTEM_FLAGS, 4);
    e.storeState(SYSTEM_FLAGS, 4, down ? e.op('i32.or', flags, e.i32(DF)) : e.op('i32.and', flags, e.i32(~DF)));
  };
}

export const control: Record<string, Semantic> = {
  nop: nothing,
  lfence: nothing,
  mfence: nothing,
  sfence: nothing,

  // A VM can be told to exit on PAUSE; a board lets time pass.
  pause: (e) => e.if(e.op('i32.or', e.loadState(NON_ROOT, 4), e.loadState(BOARD, 4)), () => e.system()),

  clflush: (e, form) => {
    e.let(e.load(e.address(form.operands[0]!), 1));
  },

  jcc: (e, form) => e.jumpIf(e.condition(form.condition!)),
  jmp: (e) => e.jump(),
  jmp_indirect: (e, form) => {
    const target = indirectTarget(e, form);
    e.checkTarget(target);
    e.jumpTo(target);
  },

  call: (e, form) => {
    pushReturnAddress(e, form);
    e.jump();
  },

  call_indirect: (e, form) => {
    const target = indirectTarget(e, form);
    e.checkTarget(target, form.legacy ? undefined : below(e, form, stackPointer(e, form), 8));
    pushReturnAddress(e, form);
    e.jumpTo(target);
  },

  ret: (e, form) => {
    const size = sizeOf(form);
    const top = e.let(stackPointer(e, form));
    const target = e.let(toI64(e, size, loadStack(e, form, top, size)));
    e.checkTarget(target);
    const released = form.operands[0] ? e.op('i64.extend_i32_u', e.read(form.operands[0], 4)) : e.i64(0);
    const popped = e.op('i64.add', top, e.i64(size));
    setStackPointer(e, form, wrapped(e, form, e.op('i64.add', popped, released)));
    e.jumpTo(target);
  },

  loop: counted(),
  loope: counted((e) => e.condition(EQUAL)),
  loopne: counted((e) => e.condition(NOT_EQUAL)),

  jrcxz: (e, form) => {
    const size = sizeOf(form);
    e.jumpIf(compare(e, size, 'eq', e.gpr(RCX, size), constant(e, size, 0)));
  },

  cmc: (e) => replaceFlags(e, CF, e.op('i32.eqz', e.carry())),
  clc: (e) => replaceFlags(e, CF, e.i32(0)),
  stc: (e) => replaceFlags(e, CF, e.i32(CF)),
  cld: direction(false),
  std: direction(true),

  salc: (e) => e.setGpr(RAX, 1, e.op('i32.and', e.op('i32.sub', e.i32(0), e.carry()), e.i32(0xff))),

  lahf: (e) => {
    const flags = e.op('i32.or', e.op('i32.and', e.arithmeticFlags(), e.i32(AH_FLAGS)), e.i32(2));
    e.setGpr(RAX, 2, e.op('i32.or', e.gpr(RAX, 1), e.op('i32.shl', flags, e.i32(8))));
  },

  sahf: (e) => {
    const high = e.op('i32.shr_u', e.gpr(RAX, 2), e.i32(8));
    const overflow = e.op('i32.and', e.arithmeticFlags(), e.i32(OF));
    e.setFlags('flags', 4, e.op('i32.or', overflow, e.op('i32.and', high, e.i32(AH_FLAGS))));
  },

  ud0: invalid,
  ud1: invalid,
  ud2: invalid,
};

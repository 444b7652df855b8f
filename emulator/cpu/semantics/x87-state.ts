/** x87 control words and state images: FLDCW, FNSTSW, FNSTENV, FNSAVE, FXSAVE and their loads (SDM 1, 8.1 and 10.5). */
import type { Emitter, Form, Semantic, Size, Value } from '../emitter.ts';
import { FP_IMAGE, X87_CW } from '../layout.ts';
import type { SemanticTable } from './vector.ts';
import { waiting } from './x87.ts';

const VECTOR_GP = 13;
/** Bytes of FXSAVE's area that it writes; the last 96 of 512 are the program's. */
const FX_BYTES = 416;
/** REX.W. */
const WIDE = 8;

const environmentBytes = (size: number) => (size === 2 ? 14 : 28);
const stateBytes = (size: number) => environmentBytes(size) + 8 * 10;

/** Calls `piece` for every 8, 4 or 2 bytes of a block. */
function pieces(bytes: number, piece: (offset: number, size: Size) => void): void {
  let offset = 0;
  for (const size of [8, 4, 2] as const) {
    for (; bytes - offset >= size; offset += size) piece(offset, size);
  }
}

function copyOut(e: Emitter, address: Value, bytes: number): void {
  pieces(bytes, (offset, size) => {
    e.store(e.op('i64.add', address, e.i64(offset)), size, e.loadState(FP_IMAGE + offset, size));
  });
}

function copyIn(e: Emitter, address: Value, bytes: number): void {
  pieces(bytes, (offset, size) => {
    e.storeState(FP_IMAGE + offset, size, e.load(e.op('i64.add', address, e.i64(offset)), size));
  });
}

/** Builds an image with `helper`, stores it, and then changes the state with `afterwards`. */
function storeImage(bytesOf: (size: number) => number, helper: string, afterwards: string): Semantic {
  return (e, form) => {
    const address = e.let(e.address(form.operands[0]));
    e.probeWrite(address, bytesOf(form.size));
    e.callVoid(helper, e.i32(form.size));
    copyOut(e, address, bytesOf(form.size));
    e.callVoid(afterwards);
  };
}

function loadImage(bytesOf: (size: number) => number, helper: string): Semantic {
  return waiting((e, form) => {
    copyIn(e, e.let(e.address(form.operands[0])), bytesOf(form.size));
    e.callVoid(helper, e.i32(form.size));
  });
}

function alignedAddress(e: Emitter, form: Form): Value {
  const address = e.let(e.address(form.operands[0]));
  const low = e.op('i32.and', e.op('i32.wrap_i64', address), e.i32(15));
  e.raiseIf(low, VECTOR_GP, 0);
  return address;
}

export const x87State: SemanticTable = {
  fldcw: waiting((e, { operands: [source] }) => e.callVoid('x87SetControl', e.read(source, 2))),
  fnstcw(e, { operands: [destination] }) {
    e.write(destination, 2, e.loadState(X87_CW, 2));
  },
  fnstsw(e, { operands: [destination] }) {
    const status = e.op('i32.and', e.call('x87Status'), e.i32(0xffff));
    e.write(destination, 2, status);
  },
  fnclex(e) {
    e.callVoid('x87ClearExceptions');
  },
  fninit(e) {
    e.callVoid('x87Initialise');
  },
  fnstenv: storeImage(environmentBytes, 'x87StoreEnvironment', 'x87MaskAll'),
  fldenv: loadImage(environmentBytes, 'x87LoadEnvironment'),
  fnsave: storeImage(stateBytes, 'x87StoreState', 'x87Initialise'),
  frstor: loadImage(stateBytes, 'x87LoadState'),
  fxsave(e, form) {
    const address = alignedAddress(e, form);
    e.probeWrite(address, FX_BYTES);
    e.callVoid('fxStore', e.i32(form.size === WIDE ? 1 : 0));
    copyOut(e, address, FX_BYTES);
  },
  fxrstor(e, form) {
    const address = alignedAddress(e, form);
    copyIn(e, address, FX_BYTES);
    e.raiseIf(e.call('fxLoad', e.i32(form.size === WIDE ? 1 : 0)), VECTOR_GP, 0);
  },
};

/** SSE and SSE2 moves (SDM 2A/2B MOVAPS, MOVUPS, MOVSS, MOVSD, MOVHPS, MOVD, MOVQ, MOVMSKPS, MASKMOVDQU...). */
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { MXCSR } from '../layout.ts';
import { MXCSR_MASK } from '../../core/softfloat-codes.ts';
import { alone, packed } from './vector.ts';
import type { SemanticTable } from './vector.ts';

const VECTOR_GP = 13;

function move(aligned: boolean): Semantic {
  return (e, { operands: [destination, source] }) => {
    e.writeVector(destination, e.readVector(source, aligned), aligned);
  };
}

/** MOVSS and MOVSD: a load clears the rest of the register, a register move keeps it. */
function moveScalar(size: 4 | 8): Semantic {
  return (e, { operands: [destination, source] }) => {
    if (source.kind === 'memory') e.writeVector(destination, e.readAlone(source, size));
    else e.writeScalar(destination, size, e.readScalar(source, size));
  };
}

/** MOVQ clears the upper half of a register destination whatever the source. */
function moveQuad(e: Emitter, { operands: [destination, source] }: Form): void {
  if (destination.kind === 'memory') e.writeScalar(destination, 8, e.readScalar(source, 8));
  else if (source.kind === 'memory') e.writeVector(destination, e.readAlone(source, 8));
  else e.writeVector(destination, alone(e, 8, e.readScalar(source, 8)));
}

/** MOVLPS and MOVLPD: the low quadword to or from memory. */
function moveLow(e: Emitter, { operands: [destination, source] }: Form): void {
  e.writeScalar(destination, 8, e.readScalar(source, 8));
}

/** MOVHPS and MOVHPD: the high quadword to or from memory. */
function moveHigh(e: Emitter, { operands: [destination, source] }: Form): void {
  if (destination.kind === 'memory') {
    e.writeScalar(destination, 8, e.lane('f64x2.extract_lane', 1, e.readVector(source)));
    return;
  }
  const vector = e.let(e.readVector(destination));
  e.writeVector(destination, e.lane('f64x2.replace_lane', 1, vector, e.readScalar(source, 8)));
}

function moveHighToLow(e: Emitter, { operands: [destination, source] }: Form): void {
  const value = e.let(e.lane('f64x2.extract_lane', 1, e.readVector(source)));
  e.writeScalar(destination, 8, value);
}

function moveLowToHigh(e: Emitter, { operands: [destination, source] }: Form): void {
  const value = e.let(e.lane('f64x2.extract_lane', 0, e.readVector(source)));
  e.writeVector(destination, e.lane('f64x2.replace_lane', 1, e.readVector(destination), value));
}

function toXmm(e: Emitter, { operands: [destination, source], size }: Form): void {
  const width = size === 8 ? 8 : 4;
  e.writeVector(destination, alone(e, width, e.read(source, width)));
}

function fromXmm(e: Emitter, { operands: [destination, source], size }: Form): void {
  const width = size === 8 ? 8 : 4;
  e.write(destination, width, e.readVectorLow(source, width));
}

function signMask(instruction: string): Semantic {
  return (e, { operands: [destination, source] }) => {
    e.write(destination, 4, e.op(instruction, e.readVector(source)));
  };
}

/** Bytes of `value` whose mask byte has bit 7 set go to memory. A mask of zeros touches no memory. */
function storeMasked(e: Emitter, address: Value, value: Value, mask: Value): void {
  const at = e.let(address);
  e.if(e.op('v128.any_true', mask), () => {
    e.probeWrite(at, 16);
    const old = e.let(e.load128(at));
    e.store128(at, e.op('v128.bitselect', value, old, mask));
  });
}

function maskMove(e: Emitter, { operands: [source, mask, destination] }: Form): void {
  const value = e.let(e.readVector(source));
  const selected = e.let(e.op('i8x16.shr_s', e.readVector(mask), e.i32(7)));
  storeMasked(e, e.address(destination), value, selected);
}

const bitwise = (instruction: string) => packed((e, a, b) => e.op(instruction, a, b));
/** Of the destination's complement. */
const andNot = packed((e, a, b) => e.op('v128.andnot', b, a));

export const sseMove: SemanticTable = {
  movaps: move(true),
  movapd: move(true),
  movdqa: move(true),
  movups: move(false),
  movupd: move(false),
  movdqu: move(false),
  movntps: move(true),
  movntpd: move(true),
  movntdq: move(true),
  movss: moveScalar(4),
  movsd: moveScalar(8),
  movq: moveQuad,
  movlps: moveLow,
  movlpd: moveLow,
  movhps: moveHigh,
  movhpd: moveHigh,
  movhlps: moveHighToLow,
  movlhps: moveLowToHigh,
  movd_to_xmm: toXmm,
  movd_from_xmm: fromXmm,
  movmskps: signMask('i32x4.bitmask'),
  movmskpd: signMask('i64x2.bitmask'),
  pmovmskb: signMask('i8x16.bitmask'),
  maskmovdqu: maskMove,
  andps: bitwise('v128.and'),
  andpd: bitwise('v128.and'),
  andnps: andNot,
  andnpd: andNot,
  orps: bitwise('v128.or'),
  orpd: bitwise('v128.or'),
  xorps: bitwise('v128.xor'),
  xorpd: bitwise('v128.xor'),
  ldmxcsr(e, { operands: [source] }) {
    const value = e.let(e.read(source, 4));
    e.raiseIf(e.op('i32.and', value, e.i32(~MXCSR_MASK)), VECTOR_GP, 0);
    e.storeState(MXCSR, 4, value);
  },
  stmxcsr(e, { operands: [destination] }) {
    e.write(destination, 4, e.loadState(MXCSR, 4));
  },
};

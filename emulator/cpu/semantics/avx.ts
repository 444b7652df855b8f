/** AVX and AVX2: VEX forms of SSE instructions, and what looks at both halves together (SDM 1 chapter 14). */
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { VEX_OF_SSE } from '../table/vex-of-sse.ts';
import { crypto } from './crypto.ts';
import { or } from './sse-arithmetic.ts';
import { compares } from './sse-compare.ts';
import { sseApproximate } from './sse-approximate.ts';
import { sseArithmetic } from './sse-arithmetic.ts';
import { sseConvert } from './sse-convert.ts';
import { sseInteger } from './sse-integer.ts';
import { sseMove } from './sse-move.ts';
import { sse3 } from './sse3.ts';
import { blendByTopBits, sse41 } from './sse41.ts';
import { sse42 } from './sse42.ts';
import { ssse3 } from './ssse3.ts';
import type { SemanticTable } from './vector.ts';
import { isWide, readHalves, vexForm, writeHalves } from './vex.ts';

const PREDICATES = 32;

const sse: SemanticTable = {
  ...sseMove,
  ...sseArithmetic,
  ...sseConvert,
  ...sseApproximate,
  ...sseInteger,
  ...sse3,
  ...ssse3,
  ...sse41,
  ...sse42,
  ...crypto,
  ...compares(PREDICATES),
};

const derived = Object.fromEntries(
  VEX_OF_SSE.flatMap((family) =>
    family.ops.map((op): [string, Semantic] => {
      const meaning = sse[op];
      if (!meaning) throw new Error(`${op} has no meaning`);
      return [`v${op}`, family.three ? threeUnlessStore(meaning, family) : vexForm(meaning, family)];
    }),
  ),
);

/** MOVLPS and its like store without a second source. */
function threeUnlessStore(meaning: Semantic, options: Parameters<typeof vexForm>[1]): Semantic {
  const three = vexForm(meaning, { ...options, three: true });
  const two = vexForm(meaning, { ...options, three: false });
  return (e, form) => (form.operands[0]!.kind === 'memory' ? two : three)(e, form);
}

/** MOVSS and MOVSD: three registers, or a load or store. */
function moveScalar(meaning: Semantic): Semantic {
  const three = vexForm(meaning, { three: true });
  const two = vexForm(meaning);
  return (e, form) => (form.operands.length === 3 ? three : two)(e, form);
}

/** Sign bits of all lanes, `count` of each half. */
function signMask(instruction: string, count: number): Semantic {
  return (e, form) => {
    const [destination, source] = form.operands;
    const [low, high] = readHalves(e, source!, isWide(form));
    const mask = e.op(instruction, low!);
    const whole = high ? e.op('i32.or', mask, e.op('i32.shl', e.op(instruction, high), e.i32(count))) : mask;
    e.write(destination!, 4, whole);
  };
}

/**
 * PTEST and VTESTPx. ZF: the destination and the source have none of the tested bits in common; CF: the source has none that the destination lacks.
 * @param tested whether any tested bit of a half is 1
 */
export function test(tested: (e: Emitter, half: Value) => Value): Semantic {
  return (e, form) => {
    const wide = isWide(form);
    const b = readHalves(e, form.operands[1]!, wide).map((half) => e.let(half));
    const a = readHalves(e, form.operands[0]!, wide).map((half) => e.let(half));
    const none = (combine: (x: Value, y: Value) => Value): Value =>
      e.op('i32.eqz', or(e, ...a.map((x, half) => tested(e, combine(x, b[half]!)))));
    const zf = e.op(
      'i32.shl',
      none((x, y) => e.op('v128.and', x, y)),
      e.i32(6),
    );
    e.setFlags(
      'flags',
      4,
      e.op(
        'i32.or',
        zf,
        none((x, y) => e.op('v128.andnot', y, x)),
      ),
    );
  };
}

/** Lanes of the second source where the fourth operand's lanes have their top bit set, else of the first. */
function blendByMask(instruction: string, bits: number): Semantic {
  return (e: Emitter, form: Form) => {
    const wide = isWide(form);
    const [destination, first, second, mask] = form.operands;
    const b = readHalves(e, second!, wide);
    const a = readHalves(e, first!, wide);
    const m = readHalves(e, mask!, wide);
    writeHalves(
      e,
      destination!,
      a.map((half, i) => blendByTopBits(e, instruction, bits, half, b[i]!, m[i]!)),
    );
  };
}

export const avx: SemanticTable = {
  ...derived,
  vmovss: moveScalar(sseMove['movss']!),
  vmovsd: moveScalar(sseMove['movsd']!),
  vmovmskps: signMask('i32x4.bitmask', 4),
  vmovmskpd: signMask('i64x2.bitmask', 2),
  vpmovmskb: signMask('i8x16.bitmask', 16),
  vptest: test((e, half) => e.op('v128.any_true', half)),
  vblendvps: blendByMask('i32x4.shr_s', 32),
  vblendvpd: blendByMask('i64x2.shr_s', 64),
  vpblendvb: blendByMask('i8x16.shr_s', 8),
};

/** AES, PCLMULQDQ and SHA (SDM 2): rounds are done by the core. */
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { helperVector } from './sse-arithmetic.ts';
import { immediateByte } from './sse-integer.ts';
import { high64, low64 } from './vector.ts';
import type { SemanticTable } from './vector.ts';

const halves = (e: Emitter, vector: Value): [Value, Value] => [low64(e, vector), high64(e, vector)];

/** destination = helper(destination, source, and what `more` adds). */
function twoVectors(helper: string, more: (e: Emitter, form: Form) => Value[] = () => []): Semantic {
  return (e, form) => {
    const [destination, source] = [form.operands[0]!, form.operands[1]!];
    const a = e.let(e.readVector(destination));
    const b = e.let(e.readVector(source, true));
    e.callVoid(helper, ...halves(e, a), ...halves(e, b), ...more(e, form));
    e.writeVector(destination, helperVector(e));
  };
}

/** destination = helper(source, and what `more` adds). */
function oneVector(helper: string, more: (e: Emitter, form: Form) => Value[] = () => []): Semantic {
  return (e, form) => {
    const b = e.let(e.readVector(form.operands[1]!, true));
    e.callVoid(helper, ...halves(e, b), ...more(e, form));
    e.writeVector(form.operands[0]!, helperVector(e));
  };
}

const immediate = (e: Emitter, form: Form): Value[] => [immediateByte(e, form.operands[2]!)];
const last = (value: number) => (e: Emitter) => [e.i32(value)];

export const crypto: SemanticTable = {
  aesenc: twoVectors('aesEncrypt', last(0)),
  aesenclast: twoVectors('aesEncrypt', last(1)),
  aesdec: twoVectors('aesDecrypt', last(0)),
  aesdeclast: twoVectors('aesDecrypt', last(1)),
  aesimc: oneVector('aesInverseMixColumns'),
  aeskeygenassist: oneVector('aesKeygenAssist', immediate),
  pclmulqdq: twoVectors('carrylessMultiply', immediate),
  sha1rnds4: twoVectors('sha1Rounds', immediate),
  sha1nexte: twoVectors('sha1NextE'),
  sha1msg1: twoVectors('sha1Message1'),
  sha1msg2: twoVectors('sha1Message2'),
  sha256rnds2: twoVectors('sha256Rounds', (e, form) => [low64(e, e.readVector(form.operands[2]!))]),
  sha256msg1: twoVectors('sha256Message1'),
  sha256msg2: twoVectors('sha256Message2'),
};

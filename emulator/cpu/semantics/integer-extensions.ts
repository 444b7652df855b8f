/** MOVBE, ADCX and ADOX, cache-line hints (SDM 2). */
import type { Emitter, Semantic, Value } from '../emitter.ts';
import { reverseBytes } from './movement.ts';
import { binary, CF, compare, fromI32, OF, replaceFlags, sizeOf } from './operations.ts';

const movbe: Semantic = (e, form) => {
  const size = sizeOf(form);
  const value = e.let(e.read(form.operands[1]!, size));
  e.write(form.operands[0]!, size, reverseBytes(e, size, value));
};

/** An addition with CF or OF as the only carry, in and out. */
function addWith(flag: number, carryIn: (e: Emitter) => Value): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const a = e.let(e.read(form.operands[0]!, size));
    const b = e.let(e.read(form.operands[1]!, size));
    const carry = fromI32(e, size, e.let(carryIn(e)));
    const partial = e.let(binary(e, size, 'add', a, b));
    const sum = e.let(binary(e, size, 'add', partial, carry));
    const out = e.op('i32.or', compare(e, size, 'lt_u', partial, a), compare(e, size, 'lt_u', sum, partial));
    e.write(form.operands[0]!, size, sum);
    replaceFlags(e, flag, e.op('i32.mul', out, e.i32(flag)));
  };
}

/** The line's address is checked as a load of one byte is. */
const flushLine: Semantic = (e, form) => void e.read(form.operands[0]!, 1);

export const integerExtensions: Record<string, Semantic> = {
  movbe,
  adcx: addWith(CF, (e) => e.carry()),
  adox: addWith(OF, (e) => e.condition(0)),
  clflushopt: flushLine,
  clwb: flushLine,
};

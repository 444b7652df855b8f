import assert from 'node:assert/strict';
import { BITS_64 } from '../cpu/control-bits-64.ts';
import * as rights from '../cpu/segment-rights.ts';
import { BITS } from './bits.ts';

/** Several bits, which their comments name. */
const MASKS = new Set([
  'RFLAGS_ARITHMETIC',
  'RFLAGS_SYSTEM',
  'CR0_KEPT',
  'DR7_ENABLES',
  'DR7_ONE',
  'DR7_LOADED',
  'XCR0_AVX',
]);

describe('named bits', () => {
  it('the processor and the views mean the same bits by the same names', () => {
    let compared = 0;
    for (const [constant, value] of Object.entries(BITS_64)) {
      if (MASKS.has(constant)) continue;
      const [register = '', name] = constant.toLowerCase().split('_');
      const field = BITS[register as keyof typeof BITS].find((row) => row.name.toLowerCase() === name);
      assert(field, `${constant} is not described`);
      const ones = (1n << BigInt(field.hi - field.lo + 1)) - 1n;
      assert.equal(value, ones << BigInt(field.lo), constant);
      compared++;
    }
    assert(compared > 40);
  });

  it('masks hold what their comments name', () => {
    const flags = (names: string): bigint =>
      names.split(' ').reduce((mask, name) => mask | BITS_64[`RFLAGS_${name}` as keyof typeof BITS_64], 0n);
    assert.equal(BITS_64.RFLAGS_ARITHMETIC, flags('CF PF AF ZF SF OF'));
    assert.equal(BITS_64.RFLAGS_SYSTEM, flags('TF IF DF IOPL NT RF VM AC VIF VIP ID'));
    assert.equal(rights.HOST_CODE_RIGHTS_64 ^ rights.HOST_CODE_RIGHTS_32, rights.RIGHTS_L | rights.RIGHTS_DB);
  });
});

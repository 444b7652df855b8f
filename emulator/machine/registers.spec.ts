import assert from 'node:assert/strict';
import * as L from '../cpu/layout.ts';
import { EVERYTHING } from '../cpu/system/model-test-support.ts';
import { CPU_MODELS } from '../cpu/system/models.ts';
import { createTestMachine } from '../cpu/system/system-test-support.ts';
import { extendedInWords } from './registers-float.ts';
import { REGISTER_NAMES, readRegister, register, registers, writeRegister } from './registers.ts';

describe('registers', () => {
  const { context } = createTestMachine('hlt');
  // Specs share the processor: what another one left must not be seen.
  before(() => void createTestMachine('hlt'));

  it('lists whole registers once, each with a group, and knows the parts by name', () => {
    const names = registers(context).map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    assert.deepEqual(names.slice(0, 5), ['rax', 'rbx', 'rcx', 'rdx', 'rsi']);
    assert.equal(names.includes('eax'), false);
    for (const name of [
      'eax',
      'ax',
      'al',
      'ah',
      'sil',
      'r8d',
      'r8w',
      'r8b',
      'eip',
      'eflags',
      'cs_base',
      'gs_rights',
      'vmx_basic',
    ]) {
      assert.ok(REGISTER_NAMES.includes(name), name);
    }
    assert.equal(readRegister(context, 'nonesuch'), undefined);
  });

  it('writes parts as instructions do: 32 bits clear the upper half, fewer keep it', () => {
    writeRegister(context, 'rax', 0x1122334455667788n);
    assert.deepEqual(
      ['eax', 'ax', 'al', 'ah'].map((name) => readRegister(context, name)),
      [0x55667788n, 0x7788n, 0x88n, 0x77n],
    );
    writeRegister(context, 'ah', 0xffn);
    assert.equal(readRegister(context, 'rax'), 0x112233445566ff88n);
    writeRegister(context, 'eax', -1n);
    assert.equal(readRegister(context, 'rax'), 0xffffffffn);
  });

  it('decodes RFLAGS and control registers', () => {
    writeRegister(context, 'rflags', 0x246n);
    const flags = register(context, 'rflags')!;
    assert.equal(flags.text, 'IF ZF PF');
    assert.deepEqual(
      flags.parts!.find(({ name }) => name === 'ZF'),
      {
        name: 'ZF',
        value: 1n,
        meaning: 'result is zero',
        hi: 6,
        lo: 6,
      },
    );
    assert.equal(register(context, 'cr0')!.text, 'PG AM WP NE ET MP PE');
    assert.equal(register(context, 'cs')!.text, '64-bit code, readable, accessed');
    assert.equal(register(context, 'cpl')!.text, 'ring 0');
    assert.equal(register(context, 'operation')!.text, 'VMX is off');
  });

  const refused: readonly (readonly [string, bigint, RegExp])[] = [
    ['rip', 0x8000_0000_0000_0000n, /^rip cannot be 0x8000000000000000: bits 63 to 47 must be equal\.$/],
    ['rflags', 1n << 40n, /reserved/],
    ['al', 256n, /^0x100 does not fit in the 8 bits of al\.$/],
    ['cr0', 0x8000_0000n, /^cr0 cannot be 0x80000000: CR0.PG needs CR0.PE\.$/],
    ['cr4', 0x80000n, /reserved on this CPU/],
    ['cr3', 1n << 60n, /physical-address width/],
    ['efer', 2n, /reserved bits 2h of EFER/],
    ['lstar', 1n << 60n, /canonical/],
    ['ds', 0x1fbn, /^ds cannot be 0x1fb: selector 0x1fb is outside the GDT/],
    ['cs', 0x33n, /^cs cannot be set\.$/],
    ['mxcsr', 1n << 20n, /reserved/],
    ['cpl', 3n, /^cpl cannot be set\.$/],
    ['nonesuch', 0n, /^There is no register nonesuch\.$/],
  ];
  for (const [name, value, message] of refused) {
    it(`refuses ${name} = ${value.toString(16)}h in a sentence`, () => {
      const before = readRegister(context, name);
      assert.throws(() => writeRegister(context, name, value), { message });
      assert.equal(readRegister(context, name), before);
    });
  }

  it('shows XMM registers in every format and the x87 stack in ST order', () => {
    writeRegister(context, 'xmm3', (0x4000_0000_0000_0000n << 64n) | 0x3ff8_0000_0000_0000n);
    const xmm = register(context, 'xmm3')!;
    assert.equal(xmm.text, 'f64 {1.5, 2}');
    assert.equal(xmm.parts!.find(({ name }) => name === 'f32[1]')!.meaning, '1.9375');
    assert.equal(register(context, 'st0')!.text, 'empty');
    context.mem.set32(L.X87_TOP, 7);
    writeRegister(context, 'st0', (0x4000n << 64n) | 0xc000_0000_0000_0000n);
    assert.equal(context.mem.get64(L.X87 + 7 * 16), 0xc000_0000_0000_0000n);
    assert.equal(register(context, 'st0')!.text, '3');
    assert.match(register(context, 'ftw')!.text!, /R7 valid/);
  });

  it('shows YMM registers over the XMM registers, and XCR0, where the processor has them', () => {
    const { context: avx } = createTestMachine('hlt', EVERYTHING);
    writeRegister(avx, 'xmm2', 0x3ff8_0000_0000_0000n);
    writeRegister(avx, 'ymm2', (0x4000_0000_0000_0000n << 192n) | readRegister(avx, 'ymm2')!);
    assert.equal(register(avx, 'ymm2')!.text, 'f64 {1.5, 0, 0, 2}');
    assert.equal(register(avx, 'ymm2')!.parts!.find(({ name }) => name === 'i32[7]')!.value, 0x4000_0000n);
    assert.equal(readRegister(avx, 'xmm2'), 0x3ff8_0000_0000_0000n);
    assert.match(register(avx, 'xcr0')!.text!, /AVX/);
    assert.throws(() => writeRegister(avx, 'xcr0', 5n), { message: 'xcr0 cannot be 0x5: XCR0.AVX needs XCR0.SSE.' });
    const { context: old } = createTestMachine('hlt', CPU_MODELS.baseline);
    assert.equal(register(old, 'ymm2'), undefined);
    assert.equal(
      registers(old).some(({ name }) => /^(ymm|xcr0|xss)/.test(name)),
      false,
    );
  });

  it('reads extended numbers in decimal', () => {
    const cases: readonly (readonly [bigint, string])[] = [
      [0n, '0'],
      [(0xffffn << 64n) | (1n << 63n), '-Infinity'],
      [(0x7fffn << 64n) | (3n << 62n), 'NaN'],
      [(0x3ffen << 64n) | (1n << 63n), '0.5'],
      [(0x7ffen << 64n) | (1n << 63n), '1 × 2^16383'],
    ];
    for (const [value, text] of cases) assert.equal(extendedInWords(value), text);
  });
});

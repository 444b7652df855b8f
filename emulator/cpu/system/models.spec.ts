/** What the processor models present, and what instructions do without their feature. */
import assert from 'node:assert/strict';
import { decodeTableOf } from '../decode-table.ts';
import { decode } from '../decode.ts';
import { semantics } from '../semantics/index.ts';
import { table } from '../table/index.ts';
import { cpuid } from './cpuid.ts';
import { FEATURES } from './features.ts';
import { cr4Known } from './control-registers.ts';
import { SYSTEM_OPS } from './index.ts';
import { CPU_MODELS, CpuModelError, cpuModelOf } from './models.ts';
import { createTestMachine } from './system-test-support.ts';

const environment = { physBits: 46, apicId: 0, cpus: 1, cr4: 0n, xcr0: 3 };

function opOf(model: 'max' | 'baseline', ...code: number[]): string | undefined {
  return decode(Uint8Array.from([...code, 0, 0, 0, 0]), 0, 0n, 2, decodeTableOf(CPU_MODELS[model]))?.op;
}

describe('processor models', () => {
  it('claim no feature whose instructions are not all executed', () => {
    const { features } = CPU_MODELS.max;
    const missing = table.filter(({ feature }) => feature !== undefined && features.has(feature));
    // VMFUNC is announced by the VMX capability MSRs alone.
    const done = (op: string): boolean => semantics.has(op) || SYSTEM_OPS.has(op) || op === 'vmfunc';
    const without = missing.filter(({ op }) => !done(op)).map(({ op }) => op);
    assert.deepEqual(without, []);
  });

  it('name features that exist', () => {
    const known = new Set(FEATURES.map(({ name }) => name));
    for (const { name, features } of Object.values(CPU_MODELS))
      assert.deepEqual(
        [...features].filter((feature) => !known.has(feature)),
        [],
        name,
      );
  });

  it('differ in leaf 1 and leaf 7', () => {
    const leaf = (model: 'max' | 'baseline', number: number) => cpuid(CPU_MODELS[model], environment, number, 0);
    const v2 = (1 << 0) | (1 << 9) | (1 << 13) | (1 << 19) | (1 << 20) | (1 << 23);
    assert.equal(leaf('max', 1)[2] & v2, v2, 'SSE3 SSSE3 CX16 SSE4.1 SSE4.2 POPCNT');
    assert.equal(leaf('baseline', 1)[2] & v2, 1 << 13);
    assert.equal(leaf('max', 7)[1] & 0x108, 0x108, 'BMI1, BMI2');
    assert.equal(leaf('baseline', 7)[1] & 0x108, 0);
  });

  it('decode F3 BSF and F3 BSR as the feature has it', () => {
    assert.equal(opOf('max', 0xf3, 0x0f, 0xbc, 0xc1), 'tzcnt');
    assert.equal(opOf('baseline', 0xf3, 0x0f, 0xbc, 0xc1), 'bsf');
    assert.equal(opOf('max', 0xf3, 0x0f, 0xbd, 0xc1), 'lzcnt');
    assert.equal(opOf('baseline', 0xf3, 0x0f, 0xbd, 0xc1), 'bsr');
  });

  it('refuse what the baseline lacks', () => {
    assert.equal(opOf('max', 0x66, 0x0f, 0x38, 0x00, 0xc1), 'pshufb');
    assert.equal(opOf('baseline', 0x66, 0x0f, 0x38, 0x00, 0xc1), undefined);
    assert.equal(opOf('max', 0xc4, 0xe2, 0x70, 0xf2, 0xc1), 'andn');
    assert.equal(opOf('baseline', 0xc4, 0xe2, 0x70, 0xf2, 0xc1), undefined);
  });

  it('have the control register bits of their features', () => {
    const brought = (1n << 12n) | (1n << 18n) | (1n << 22n);
    assert.equal(cr4Known(CPU_MODELS.max), cr4Known(CPU_MODELS.baseline) | brought, 'LA57, OSXSAVE and PKE');
    assert.equal(cr4Known(CPU_MODELS.ivybridge) & (1n << 21n), 0n, 'SMAP');
  });
});

describe('descriptions of a processor', () => {
  const refusal = (description: string): string => {
    try {
      cpuModelOf(description);
    } catch (error) {
      assert.ok(error instanceof CpuModelError);
      return error.message;
    }
    return '';
  };
  it('name a model and change its features', () => {
    assert.equal(cpuModelOf('haswell'), CPU_MODELS.haswell);
    const changed = cpuModelOf('haswell,-bmi2,+sha');
    assert.deepEqual(
      [...changed.features].sort(),
      [...CPU_MODELS.haswell.features, 'sha'].filter((name) => name !== 'bmi2').sort(),
    );
    assert.equal(changed.signature, CPU_MODELS.haswell.signature);
    assert.equal(cpuModelOf('baseline,+sse3,+ssse3,+sse4.1').features.has('sse4_2'), false);
    assert.equal(cpuModelOf('haswell,-bmi2,+sha'), changed, 'made once');
  });
  it('are refused in a sentence', () => {
    assert.match(refusal('pentium'), /^There is no processor model "pentium"; there are: max, baseline, .*\.$/);
    assert.match(refusal('max,+mmx2'), /^There is no processor feature "mmx2"; there are: .*\.$/);
    assert.match(refusal('max,sha'), /^"sha" should be a processor feature with \+ or - before it, such as "-sha"\.$/);
    assert.match(refusal('max,-sse2'), /^The processor feature sse2 cannot be taken out: /);
    assert.equal(
      refusal('max,-ssse3'),
      'A processor "max,-ssse3" cannot be: sse4_1 needs ssse3. Add "+ssse3" or "-sse4_1".',
    );
    assert.match(refusal('baseline,+xsaves'), /xsaves needs xsavec/);
    assert.match(refusal(''), /no processor model ""/);
  });
  it('give family, model, stepping, brand and leaf limits', () => {
    const text = (words: readonly number[]): string =>
      words.flatMap((word) => [0, 8, 16, 24].map((shift) => String.fromCharCode((word >> shift) & 0xff))).join('');
    const brand = (name: string): string =>
      [0x80000002, 0x80000003, 0x80000004]
        .map((leaf) => text(cpuid(cpuModelOf(name), environment, leaf, 0)))
        .join('')
        .replace(/\0+$/, '');
    const identity = (name: string): readonly unknown[] => {
      const [signature] = cpuid(cpuModelOf(name), environment, 1, 0);
      const family = (signature >> 8) & 15;
      const model = ((signature >> 4) & 15) | ((signature >> 12) & 0xf0);
      return [family, model, signature & 15, cpuid(cpuModelOf(name), environment, 0, 0)[0], brand(name)];
    };
    assert.deepEqual(identity('ivybridge'), [6, 0x3e, 4, 0xd, 'Intel(R) Xeon(R) CPU E5-2690 v2 @ 3.00GHz']);
    assert.deepEqual(identity('haswell'), [6, 0x3f, 2, 0xf, 'Intel(R) Xeon(R) CPU E5-1660 v3 @ 3.00GHz']);
    assert.deepEqual(identity('max,-sha').slice(4), ['Dune Debug model CPU']);
  });
});

describe('RDRAND, RDSEED, RDPID', () => {
  it('answer with CF and the seeded number', () => {
    const machine = createTestMachine('xor eax, eax\n rdrand ax\n setc bl\n rdseed rcx\n setc bh\n hlt');
    machine.context.random64 = () => 0x1122_3344_5566_7788n;
    machine.run();
    const { cpu } = machine.context;
    assert.equal(cpu.gpr(0), 0x7788n);
    assert.equal(cpu.gpr(1), 0x1122_3344_5566_7788n);
    assert.equal(cpu.gpr(3) & 0xffffn, 0x101n);
  });

  it('reads TSC_AUX', () => {
    const machine = createTestMachine('mov ecx, 0xc0000103\n mov eax, 77\n xor edx, edx\n wrmsr\n rdpid rsi\n hlt');
    machine.run();
    assert.equal(machine.context.cpu.gpr(6), 77n);
  });
});

/** C programs under the Linux personality, against the same binaries on the host CPU and kernel. */
import assert from 'node:assert/strict';
import { compile, has, runEmulated, runNative, start, symbolNames } from './support.ts';

const PROGRAMS = [
  'hello',
  'numbers',
  'heap',
  'files',
  'fork',
  'threads',
  'signals',
  'memory',
  'spawn',
  'clock',
  'times',
  'scripts',
  'orphan',
  'title',
];
const BUILDS: readonly (readonly [string, readonly string[]])[] = [
  ['gcc', ['-O2', '-static']],
  ['gcc', ['-O0', '-static-pie', '-fPIE']],
  ['musl-gcc', ['-O2', '-static']],
  ['gcc', ['-O3', '-march=haswell', '-static']],
];

for (const [compiler, flags] of BUILDS) {
  describe(`Linux programs: ${compiler} ${flags.join(' ')}`, function () {
    before(function () {
      if (!has(compiler)) this.skip();
    });
    for (const name of PROGRAMS) {
      it(name, () => {
        const program = compile(name, compiler, flags);
        const native = runNative(program);
        const { out, err, status } = runEmulated(program);
        assert.deepEqual({ out, err, status }, native);
      });
    }
    it('input', () => {
      const program = compile('input', compiler, flags);
      const text = 'first line\nsecond\n';
      const { out, status } = runEmulated(program, [], text);
      assert.deepEqual({ out, status }, { out: runNative(program, [], text).out, status: 0 });
    });
  });
}

/** What programs see of a processor, and the versions of memcpy, strlen and sin that glibc chooses for it. */
const CHOICES: Readonly<
  Record<string, { readonly supports: readonly string[]; readonly functions: readonly string[] }>
> = {
  max: {
    supports: ['sse4.2', 'avx', 'avx2', 'fma', 'f16c', 'bmi2', 'movbe', 'x86-64-v2', 'x86-64-v3'],
    functions: ['memcpy_avx_unaligned_erms', 'strlen_avx2', 'sin_fma'],
  },
  haswell: {
    supports: ['sse4.2', 'avx', 'avx2', 'fma', 'f16c', 'bmi2', 'movbe', 'x86-64-v2', 'x86-64-v3'],
    functions: ['memcpy_avx_unaligned_erms', 'strlen_avx2', 'sin_fma'],
  },
  'haswell,-avx2,-fma': {
    supports: ['sse4.2', 'avx', 'f16c', 'bmi2', 'movbe', 'x86-64-v2'],
    functions: ['memcpy_sse2_unaligned_erms', 'strlen_sse2', 'sin_avx'],
  },
  ivybridge: {
    supports: ['sse4.2', 'avx', 'f16c', 'x86-64-v2'],
    functions: ['memcpy_sse2_unaligned_erms', 'strlen_sse2', 'sin_avx'],
  },
  baseline: { supports: [], functions: ['memcpy_sse2_unaligned', 'strlen_sse2', 'sin_sse2'] },
};

describe('Processor models', () => {
  const program = (name: string): string => compile(name, 'gcc', ['-O2', '-static']);

  for (const translate of [false, true])
    it(`max has the instructions of x86-64-v2 and its neighbours, ${translate ? 'translated' : 'interpreted'}`, function () {
      const native = runNative(program('extensions'));
      // SIGILL: the host CPU lacks one of them.
      if (native.status === 132) return this.skip();
      const { out, status } = runEmulated(program('extensions'), [], '', { translate });
      assert.deepEqual({ out, status }, { out: native.out, status: 0 });
    });

  for (const translate of [false, true])
    it(`max has XSAVE as the host CPU has it, ${translate ? 'translated' : 'interpreted'}`, function () {
      const native = runNative(program('xsave'), ['7']);
      if (native.status === 132) return this.skip();
      const { out, status } = runEmulated(program('xsave'), ['7'], '', { translate });
      assert.deepEqual({ out, status }, { out: native.out, status: 0 });
    });

  for (const translate of [false, true])
    it(`max has the instructions of x86-64-v3, ${translate ? 'translated' : 'interpreted'}`, function () {
      const vectors = compile('vectors', 'gcc', ['-O3', '-march=x86-64-v3', '-static', '-lm']);
      const native = runNative(vectors);
      if (native.status === 132) return this.skip();
      const { out, status } = runEmulated(vectors, [], '', { translate });
      assert.deepEqual({ out, status }, { out: native.out, status: 0 });
    });

  it('signal frames are as the host kernel makes them', () => {
    const native = runNative(program('fpstate'));
    const { out, status } = runEmulated(program('fpstate'));
    assert.deepEqual({ out, status }, { out: native.out, status: 0 });
    // Without XSAVE there is FXSAVE's image, and nothing said of more.
    const old = native.out.replace('extended 1\n', 'extended 0\n').replace(/^(magic|area) .*\n/gm, '');
    assert.equal(runEmulated(program('fpstate'), [], '', { cpuModel: 'baseline' }).out, old);
  });

  for (const [cpuModel, expected] of Object.entries(CHOICES))
    it(`${cpuModel} leads the C library to ${expected.functions.join(', ')}`, () => {
      const { out } = runEmulated(program('choices'), [], '', { cpuModel });
      const supported = [...out.matchAll(/^(\S+) 1$/gm)].map(([, name]) => name!);
      assert.deepEqual(supported, expected.supports);
      const names = symbolNames(program('choices'));
      const functions = [...out.matchAll(/ 0x([0-9a-f]+)$/gm)].map(
        ([, address]) => names.get(parseInt(address!, 16)) ?? [],
      );
      expected.functions.forEach((name, index) =>
        assert.ok(functions[index]!.includes(`__${name}`), functions[index]!.join()),
      );
    });

  it('baseline has none of them, and runs what the C library picks for it', () => {
    assert.equal(runEmulated(program('extensions'), [], '', { cpuModel: 'baseline' }).status, 132);
    const { out } = runEmulated(program('numbers'), [], '', { cpuModel: 'baseline' });
    assert.equal(out, runNative(program('numbers')).out);
  });
});

describe('Threads on several model CPUs', () => {
  it('give the same result', () => {
    const program = compile('threads', 'gcc', ['-O2', '-static']);
    assert.equal(runEmulated(program, [], '', { cpus: 4 }).out, runNative(program).out);
  });
});

describe('Waiting', () => {
  it('for input stops the machine until there is some', () => {
    const collect = { out: '', err: '' };
    const machine = start(compile('input', 'gcc', ['-O2', '-static']), [], {}, collect);
    assert.equal(machine.run(1e9).kind, 'input');
    assert.match(machine.threads()[0]!.blockedOn!, /^read\(0/);
    machine.input(new TextEncoder().encode('more\n'));
    assert.equal(machine.run(1e9).kind, 'input');
    machine.input(null);
    assert.deepEqual(machine.run(1e9), { kind: 'exited', status: 0 });
    assert.equal(collect.out, 'MORE\n1 lines\n');
  });
});

describe('Randomised layout', () => {
  it('follows the seed', () => {
    const program = compile('hello', 'gcc', ['-O0', '-static-pie', '-fPIE']);
    const layout = (seed: number): string => {
      const machine = start(program, [], { aslr: true, seed }, { out: '', err: '' });
      const map = machine
        .memoryMap(machine.threads()[0]!.id)
        .map(({ start: from, name }) => `${from.toString(16)} ${name}`);
      assert.deepEqual(machine.run(1e9), { kind: 'exited', status: 42 });
      return map.join('\n');
    };
    assert.equal(layout(1), layout(1));
    assert.notEqual(layout(1), layout(2));
  });
});

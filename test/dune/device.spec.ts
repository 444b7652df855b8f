/** /dev/dune spoken by hand, as binaries do that were built against the public library. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { has, runEmulated, start } from '../linux/support.ts';
import { buildExamples, compareWithGolden, compile, compileImage, here, observe, transcript } from './support.ts';

describe('Dune device', function () {
  before(function () {
    if (!has('gcc')) this.skip();
    else buildExamples();
  });

  it('numbers, return codes, write-back, handles, first state, fork, signals', () => {
    compareWithGolden(join(here, 'raw.expected.txt'), transcript(runEmulated(compile('raw'))));
  });

  it('answers EINVAL above 312 in strict mode', () => {
    const { out } = runEmulated(compile('raw'), [], '', { syscalls: 'strict' });
    assert.match(out, /^435: -22$/m);
    assert.match(out, /^9999: -22$/m);
  });

  it('names the libdune generation of an old ENTER number, and refuses handles that are not the process’s own', () => {
    const { told } = observe(compile('raw'));
    assert.ok(told.some((text) => /0x80a8e901 is refused \(ENOTTY\): .*libdune of late 2015/.test(text)));
    assert.ok(told.some((text) => /handle 0xffff880012345000 is refused/.test(text)));
  });

  it('carries programs of the public library, and says why their handlers die and their stacks change', () => {
    const run = observe(compile('public'), { memory: 512 << 20 });
    compareWithGolden(join(here, 'public.expected.txt'), run.out);
    assert.equal(run.told.length, 2, run.told.join('\n'));
    assert.match(
      run.told[0]!,
      /^the signal frame at .* overwrites the live stack of the guest .*: Linux mode and Dune mode share this stack/,
    );
    assert.match(
      run.told[1]!,
      /^#GP at RIP .* in ring 0: MOVAPS needs an address that is a multiple of 16, .* the stack is misaligned by 8 \(RSP 0x[0-9a-f]+\)/,
    );
  });

  it('carries interrupts between CPUs: posted to a guest that halts, held back by one in service, dropped for nobody', () => {
    const run = runEmulated(compile('ipi', true), [], '', { cpus: 2 });
    compareWithGolden(join(here, 'ipi.expected.txt'), transcript(run));
  });

  it('lets processes leave Dune mode by exec, breakpoints, faults and exit_group', () => {
    // Register dumps hold addresses, which are the compiler's.
    const text = transcript(runEmulated(compile('processes', true))).replace(/^ {2}.*\n/gm, '');
    compareWithGolden(join(here, 'processes.expected.txt'), text);
  });

  for (const syscalls of ['modern', 'strict'] as const)
    it(`answers C libraries as ${syscalls} tables do`, () => {
      const run = runEmulated(compile('strict', true), [], '', { syscalls });
      compareWithGolden(join(here, `strict.${syscalls}.txt`), transcript(run));
    });

  for (const compiler of ['gcc', 'clang'])
    it(`keeps what libdune promises beside the examples, by ${compiler}`, function () {
      if (!has(compiler)) return this.skip();
      const image = compileImage('image');
      const grants = [{ path: image, write: false }];
      const run = runEmulated(compile('library', true, compiler), [image], '', { grants });
      compareWithGolden(join(here, 'library.expected.txt'), transcript(run));
    });

  for (const compiler of ['g++', 'clang++'])
    it(`runs C++ by ${compiler}`, function () {
      if (!has(compiler)) return this.skip();
      compareWithGolden(join(here, 'cxx.expected.txt'), transcript(runEmulated(compile('cxx', true, compiler))));
    });

  it('keeps what libdune promises of its pages: splitting, large pages, clones', () => {
    compareWithGolden(join(here, 'pages.expected.txt'), transcript(runEmulated(compile('pages', true))));
  });

  it('gives control back while a guest faults for ever', () => {
    const collect = { out: '', err: '' };
    const machine = start(compile('unfetchable', true), [], {}, collect);
    assert.deepEqual(machine.run(100_000_000), { kind: 'budget' });
    assert.equal(collect.out, 'faults from now on\n');
    const { instructions } = machine.stats();
    assert.ok(instructions < 100_000_000);
    assert.deepEqual(machine.run(1000), { kind: 'budget' });
    assert.equal(machine.stats().instructions, instructions);
    assert.equal(machine.stepInstruction(machine.currentThread()).kind, 'step');
  });
});

/** Every example prints what its golden transcript says, and the failing ones are explained. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { has, runEmulated } from '../linux/support.ts';
import { EXAMPLES, buildExamples, compareWithGolden, example, root, transcript } from './support.ts';

/** What the explanation of a failing example names. */
const CAUSES: Readonly<Record<string, RegExp>> = {
  'ept-violation': /EPT violation: ring 0 read at GVA 0x300000000: .*HVA 0x900000000 \(no mapping/,
  'triple-fault': /TRIPLE_FAULT: #PF\(0x2\) for address 0x500000000000 .*before LIDT/,
  'cr-write': /CR_ACCESS: MOV to CR4 would change SMEP/,
  rdmsr: /RDMSR of 0xc0000082 \(LSTAR\): its bit in the MSR bitmap is set/,
};

describe('Examples', function () {
  before(function () {
    if (!has('gcc')) return this.skip();
    buildExamples();
  });

  for (const name of EXAMPLES)
    it(name, () => {
      const run = runEmulated(example(name));
      compareWithGolden(join(root, 'examples', name, 'expected.txt'), transcript(run));
      const explanation = run.machine.explanation(run.machine.currentThread());
      const cause = CAUSES[name];
      if (cause) assert.match(explanation!.headline, cause);
      else assert.equal(explanation, undefined);
    });

  it('name the guest entry that was wrong', () => {
    const { machine } = runEmulated(example('ept-violation'));
    const { details, walk } = machine.explanation(machine.currentThread())!;
    assert.ok(
      details.some((line) => /the guest's PTE at gpa:0x[0-9a-f]+ = 0x8000000900000023 names this GPA/.test(line)),
    );
    assert.ok(details.some((line) => line.startsWith('identity window: ')));
    assert.equal(walk!.gva, 0x3_0000_0000n);
  });

  it('tell the chain of a triple fault', () => {
    const { machine } = runEmulated(example('triple-fault'));
    const { details } = machine.explanation(machine.currentThread())!;
    assert.ok(details.some((line) => /^1\. #PF/.test(line)));
    assert.ok(details.some((line) => /^3\. #DF/.test(line)));
    assert.ok(details.some((line) => line.endsWith('LIDT has not been executed')));
  });

  it('run on CPUs of any physical-address width that Dune can use, and on several CPUs', () => {
    const expected = transcript(runEmulated(example('fork-threads')));
    for (const physBits of [37, 39, 48])
      assert.equal(transcript(runEmulated(example('fork-threads'), [], '', { physBits, cpus: 4 })), expected);
  });

  it('run with randomised layouts', () => {
    const expected = transcript(runEmulated(example('hello')));
    for (const seed of [2, 3, 4])
      assert.equal(transcript(runEmulated(example('hello'), [], '', { aslr: true, seed })), expected);
  });
});

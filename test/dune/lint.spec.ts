/** Mistakes that a program does not notice are told by diagnostic events. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { TestClient } from '../dap/client.ts';
import { has } from '../linux/support.ts';
import { EXAMPLES, buildExamples, compareWithGolden, compile, example, here, observe } from './support.ts';

describe('Dune lints', function () {
  before(function () {
    if (!has('gcc')) this.skip();
    else buildExamples();
  });

  describe('of a program that does everything wrong', () => {
    let run: ReturnType<typeof observe>;
    before(() => {
      run = observe(compile('lint', true));
    });
    const one = (pattern: RegExp): void =>
      assert.equal(run.told.filter((text) => pattern.test(text)).length, 1, `${pattern} in\n${run.told.join('\n')}`);

    it('it goes on', () => compareWithGolden(join(here, 'lint.expected.txt'), run.out));
    it('I/O ports, once for each place', () => {
      one(
        /^IN from port 0x60, 1 byte, at RIP 0x[0-9a-f]+ in ring 0: there is no port in this machine; it reads all ones/,
      );
      one(
        /^OUT to port 0xcf8, 4 bytes, at RIP 0x[0-9a-f]+ in ring 0: there is no port in this machine; nothing is written/,
      );
      one(/^INS from port 0x1f0, 1 byte/);
    });
    it('system-call buffers that Linux has elsewhere', () => {
      one(
        /^write: argument 2, pointer 0x300000000, leads through the guest's page tables to Linux address 0x[0-9a-f]+; the kernel uses its own mapping of 0x300000000 \(no mapping at/,
      );
    });
    it('VMCALL at CPL 3', () => one(/^VMCALL at CPL 3: system call 39 \(getpid\)/));
    it('a stack that ring 3 may not touch', () =>
      one(
        /^#PF in ring 3 on its own stack at 0x[0-9a-f]+ \(RSP 0x[0-9a-f]+\): the PTE at gpa:0x[0-9a-f]+ = .* lacks the user bit/,
      ));
    it('page-table entries that hold Linux addresses', () => {
      one(
        /^#PF with a reserved bit at 0x300000000: the PTE at gpa:0x[0-9a-f]+ = 0x555555554003 holds address 0x555555554000, beyond .* lies in no window/,
      );
    });
    it('memory above what the full map covers', () => {
      one(/^#PF at 0x100000000: Linux has memory there \(.*\), but the guest's page tables end at 4 GB/);
    });
    it('nothing else', () => assert.equal(run.told.length, 8, run.told.join('\n')));
  });

  it('reach the debug console', async () => {
    const client = new TestClient();
    await client.launch({ program: compile('lint', true) });
    await client.exitCode();
    assert.match(client.output.important, /^OUT to port 0xcf8/m);
    assert.match(client.output.important, /^#PF with a reserved bit/m);
    await client.close();
  });

  it('have nothing to say of the examples', () => {
    for (const name of EXAMPLES) assert.deepEqual(observe(example(name)).told, [], name);
  });
});

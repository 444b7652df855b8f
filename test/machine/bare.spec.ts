import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Machine, MachineOptions } from '../../emulator/machine/api.ts';
import { boot as start, finish as finishRun, type Run } from './support.ts';

const examples = fileURLToPath(new URL('../../examples', import.meta.url));
const kernel = join(examples, 'bare-timer/bare-timer');
const expected = readFileSync(join(examples, 'bare-timer/expected.txt'), 'utf8');

const boot = (options: Partial<MachineOptions> = {}): Run => start(kernel, options);

function finish(machine: Machine, slice: () => number): void {
  assert.deepEqual(finishRun(machine, slice), { kind: 'exited', status: 3 });
}

describe('a kernel on the bare board', () => {
  before(function () {
    if (!existsSync(kernel)) execFileSync('make', ['-s', '-C', examples]);
  });

  it('runs the same in slices of any length, interpreted, and with processors that sleep beside it', () => {
    const whole = boot();
    finish(whole.machine, () => 1e9);
    assert.equal(whole.text(), expected);
    let seed = 7;
    const random = (): number => 1 + ((seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % 300);
    for (const options of [{}, { translate: false }]) {
      const sliced = boot(options);
      finish(sliced.machine, random);
      assert.equal(sliced.text(), expected);
      assert.equal(sliced.machine.digest(), whole.machine.digest());
      assert.deepEqual(sliced.machine.stats(), whole.machine.stats());
    }
    const several = boot({ cpus: 3 });
    finish(several.machine, random);
    assert.equal(several.text(), expected);
    assert.deepEqual(
      several.machine.threads().map(({ state }) => state),
      ['running', 'blocked', 'blocked'],
    );
  });

  it('goes on from a snapshot as it did before, timer and interrupts included', () => {
    const { machine } = boot();
    machine.run(8500);
    const middle = machine.snapshot();
    finish(machine, () => 1000);
    const end = machine.digest();
    machine.restore(middle);
    finish(machine, () => 77);
    assert.equal(machine.digest(), end);
  });

  it('has the time pass while the processor sleeps', () => {
    const { machine } = boot();
    finish(machine, () => 1e9);
    const { instructions, cycles } = machine.stats();
    assert.ok(cycles >= 300_000, `${cycles} cycles for three ticks of 100,000`);
    assert.ok(instructions < 50_000, `${instructions} instructions`);
  });
});

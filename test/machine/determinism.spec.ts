import assert from 'node:assert/strict';
import { traceLine } from '../../cli/trace.ts';
import { EXAMPLES } from '../dune/support.ts';
import { example, finish, start, traceOf } from './support.ts';

/** Small deterministic generator, so that a failing test can be repeated from the printed seed. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('determinism', () => {
  for (const name of EXAMPLES)
    it(`${name}: two runs give byte-identical traces, however run() is sliced`, () => {
      const runs = [() => 1e7, slices(7)].map((slice) => {
        const { machine, text } = start(example(name));
        const events = traceOf(machine);
        const stop = finish(machine, slice);
        return { trace: events.map(traceLine).join(''), text: text(), stop, digest: machine.digest() };
      });
      assert.ok(runs[0]!.trace.length > 0);
      assert.deepEqual(runs[1]!.text, runs[0]!.text);
      assert.deepEqual(runs[1]!.stop, runs[0]!.stop);
      assert.ok(runs[1]!.trace === runs[0]!.trace, 'traces differ');
      assert.equal(runs[1]!.digest, runs[0]!.digest);
    });
});

function slices(seed: number): () => number {
  const next = random(seed);
  return () => 1 + Math.floor(next() ** 3 * 20000);
}

describe('snapshots', () => {
  for (const name of ['hello', 'pcid', 'fork-threads', 'signals'])
    it(`${name}: run, snapshot, run on, restore, run on again: the same state`, () => {
      const { machine } = start(example(name));
      const whole = start(example(name)).machine;
      finish(whole);
      const total = whole.stats().instructions;
      const undisturbed = start(example(name)).machine;
      undisturbed.run(Math.floor(total * 0.95));
      for (const part of [0.2, 0.6, 0.9]) {
        machine.run(Math.floor(total * part) - machine.stats().instructions);
        const snapshot = machine.snapshot();
        const there = machine.digest();
        const end = Math.floor(total * 0.95) - machine.stats().instructions;
        machine.run(end);
        const first = machine.digest();
        assert.equal(first, undisturbed.digest(), 'the snapshot disturbed the run');
        machine.restore(snapshot);
        assert.equal(machine.digest(), there, 'the restored state differs');
        machine.run(end);
        assert.equal(machine.digest(), first, 'the second run went another way');
        machine.restore(snapshot);
      }
      assert.equal(finish(machine).kind, 'exited');
    });
});

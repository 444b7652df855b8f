/** The machine's future depends on its state alone: not on how `run` is sliced, nor on snapshots taken on the way. */
import assert from 'node:assert/strict';
import type { Machine, MachineOptions } from '../../emulator/machine/api.ts';
import { compile, start } from './support.ts';

interface Watched {
  readonly machine: Machine;
  readonly collect: { out: string; err: string };
  readonly events: string[];
}
function launch(name: string, options: Partial<MachineOptions> = {}): Watched {
  const collect = { out: '', err: '' };
  const machine = start(compile(name, 'gcc', ['-O2', '-static']), [], { memory: 64 << 20, ...options }, collect);
  const events: string[] = [];
  machine.events.subscribe(['host-syscall', 'signal', 'process'], (event) => {
    events.push(`${event.instructions} ${event.thread} ${event.cycles} ${event.summary}`);
  });
  machine.input(null);
  return { machine, collect, events };
}
function finish({ machine }: Watched, slice: () => number): void {
  for (;;) {
    const stop = machine.run(slice());
    if (stop.kind === 'budget') continue;
    assert.equal(stop.kind, 'exited');
    return;
  }
}

describe('Determinism', () => {
  for (const name of ['threads', 'fork', 'clock', 'spawn']) {
    it(`${name}: slices of any length`, () => {
      const whole = launch(name);
      finish(whole, () => 1e9);
      const sliced = launch(name);
      let state = 7;
      finish(sliced, () => ((state = (state * 48271) % 0x7fffffff) % 60_000) + 1);
      assert.deepEqual(sliced.events, whole.events);
      assert.equal(sliced.collect.out, whole.collect.out);
      assert.equal(sliced.machine.stats().instructions, whole.machine.stats().instructions);
      assert.equal(sliced.machine.stats().cycles, whole.machine.stats().cycles);
    });

    it(`${name}: run on after a snapshot, restore, run on again`, () => {
      const watched = launch(name);
      const { machine, collect, events } = watched;
      machine.run(40_000);
      const snapshot = machine.snapshot();
      const digest = machine.digest();
      collect.out = '';
      events.length = 0;
      finish(watched, () => 1e9);
      const first = { out: collect.out, events: [...events], stats: machine.stats() };
      machine.restore(snapshot);
      assert.equal(machine.digest(), digest);
      collect.out = '';
      events.length = 0;
      finish(watched, () => 1e9);
      assert.deepEqual({ out: collect.out, events, stats: machine.stats() }, first);
    });
  }

  it('a snapshot goes on with the TLB of the processor it was taken on', () => {
    const { machine } = launch('threads', { cpus: 4 });
    const inForce = (): number | undefined => machine.tlbBanks().find(({ current }) => current)?.cpu;
    const snapshots = Array.from({ length: 12 }, () => {
      machine.run(150_000);
      return { snapshot: machine.snapshot(), cpu: inForce() };
    });
    assert.ok(new Set(snapshots.map(({ cpu }) => cpu)).size > 1, 'threads run on one processor only');
    for (const { snapshot, cpu } of snapshots) {
      machine.restore(snapshot);
      assert.equal(inForce(), cpu);
    }
  });

  it('another seed is another schedule', () => {
    const one = launch('threads');
    finish(one, () => 1e9);
    const other = launch('threads', { seed: 2 });
    finish(other, () => 1e9);
    assert.equal(one.collect.out, other.collect.out);
    assert.notDeepEqual(one.events, other.events);
  });
});

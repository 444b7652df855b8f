/** Snapshots taken where Dune is in the middle of something: a run from one goes as the run went before it. */
import assert from 'node:assert/strict';
import type { Machine, StopReason } from '../../emulator/machine/api.ts';
import type { EventKind } from '../../emulator/machine/events.ts';
import { has, start } from '../linux/support.ts';
import { buildExamples, compile, example } from './support.ts';

const OPTIONS = { cpus: 2 } as const;
const ANSWER = 'an answer\n';
const LIMIT = 100_000_000;
/** Instructions run from each snapshot, twice. */
const AHEAD = 30_000;

interface Subject {
  readonly machine: Machine;
  readonly collect: { out: string; err: string };
}

/** Runs until standard input is wanted, answers, runs to the end. */
function finish(machine: Machine): StopReason {
  let stop = machine.run(LIMIT);
  if (stop.kind === 'input') {
    machine.input(new TextEncoder().encode(ANSWER));
    stop = machine.run(LIMIT);
  }
  return stop;
}

describe('Dune snapshots', function () {
  let program: string;
  let end: { digest: string; out: string; instructions: number };

  const begin = (): Subject => {
    const collect = { out: '', err: '' };
    return { collect, machine: start(program, [], OPTIONS, collect) };
  };

  before(function () {
    if (!has('gcc')) return this.skip();
    buildExamples();
    program = compile('snapshot', true);
    const { machine, collect } = begin();
    assert.deepEqual(finish(machine), { kind: 'exited', status: 0 });
    end = { digest: machine.digest(), out: collect.out, instructions: machine.stats().instructions };
    assert.match(end.out, /^24 faults, signals 1, child 5, inner guest 9\nread an answer\n$/);
  });

  /** From here: on, back, on again; both ways the same. The machine stands here afterwards. */
  function thereAndBack(machine: Machine, where: string): void {
    const snapshot = machine.snapshot();
    const here = machine.digest();
    const stops = [0, 1].map(() => {
      const stop = machine.run(AHEAD);
      const there = machine.digest();
      machine.restore(snapshot);
      assert.equal(machine.digest(), here, `${where}: the restored state differs`);
      return { stop, there };
    });
    assert.deepEqual(stops[1], stops[0], `${where}: the second run went another way`);
  }

  function stoppingAt(kind: EventKind, every: number, hold: boolean): number {
    const { machine } = begin();
    let count = 0;
    let looking = true;
    machine.events.subscribe([kind], (event) => {
      if (!looking || ++count % every !== 0) return;
      machine.stop(event);
      return hold ? 'hold' : undefined;
    });
    let stops = 0;
    for (;;) {
      const stop = machine.run(LIMIT);
      if (stop.kind === 'input') machine.input(new TextEncoder().encode(ANSWER));
      else if (stop.kind !== 'event') break;
      stops++;
      looking = false;
      thereAndBack(machine, `${kind} ${count}`);
      looking = true;
    }
    assert.equal(machine.digest(), end.digest);
    return stops;
  }

  const POINTS: readonly (readonly [EventKind, number])[] = [
    ['vm-exit', 71],
    ['vm-entry', 73],
    ['ept-violation', 53],
    ['vmcall-syscall', 17],
    ['page-fault', 29],
    ['signal', 1],
    ['cr-write', 11],
  ];
  for (const [kind, every] of POINTS)
    it(`at every ${every}. ${kind}`, () => assert.ok(stoppingAt(kind, every, false) > 2));
  it('at page faults held before they happen', () => assert.ok(stoppingAt('page-fault', 31, true) > 2));

  it('at each instruction around ENTER', () => {
    const { machine } = begin();
    let entries = 0;
    const unsubscribe = machine.events.subscribe(['vm-entry'], (event) => {
      if (++entries === 1) machine.stop(event);
    });
    machine.run(LIMIT);
    unsubscribe();
    const entered = machine.stats().instructions;
    const again = begin().machine;
    again.run(entered - 8);
    for (let step = 0; step < 16; step++) {
      thereAndBack(again, `${step - 8} instructions from ENTER`);
      again.run(1);
    }
    finish(again);
    assert.equal(again.digest(), end.digest);
  });

  for (const name of ['ept-violation', 'rdmsr', 'triple-fault'])
    it(`where Dune mode is held before its abnormal end: ${name}`, () => {
      const machine = start(example(name), [], OPTIONS, { out: '', err: '' });
      machine.events.subscribe(['diagnostic'], (event) => {
        if (!event.facts['abnormal']) return;
        machine.stop(event);
        return 'hold';
      });
      const beginning = machine.snapshot();
      assert.equal(machine.run(LIMIT).kind, 'event');
      machine.restore(beginning);
      assert.equal(machine.run(LIMIT).kind, 'event', 'the second time');
      const snapshot = machine.snapshot();
      const here = machine.digest();
      const ends = [0, 1].map(() => {
        const stop = machine.run(LIMIT);
        const digest = machine.digest();
        machine.restore(snapshot);
        assert.equal(machine.digest(), here);
        return { stop, digest };
      });
      assert.deepEqual(ends[0]!.stop, { kind: 'exited', status: 1 });
      assert.deepEqual(ends[1], ends[0]);
    });

  it('while a VMCALL waits for standard input, also for another answer', () => {
    const { machine, collect } = begin();
    assert.equal(machine.run(LIMIT).kind, 'input');
    const snapshot = machine.snapshot();
    finish(machine);
    assert.equal(machine.digest(), end.digest);
    machine.restore(snapshot);
    collect.out = '';
    machine.input(new TextEncoder().encode('another\n'));
    assert.equal(machine.run(LIMIT).kind, 'exited');
    assert.equal(collect.out, 'read another\n');
    machine.restore(snapshot);
    finish(machine);
    assert.equal(machine.digest(), end.digest);
  });

  it('while one vCPU waits in a futex call and the other runs', () => {
    const { machine } = begin();
    let found = 0;
    while (found < 5 && machine.run(1777).kind === 'budget') {
      const waits = machine.threads().some(({ mode, blockedOn }) => mode === 'dune' && blockedOn?.startsWith('futex'));
      if (!waits || machine.threads().length < 2) continue;
      found++;
      thereAndBack(machine, `futex ${found}`);
    }
    assert.equal(found, 5);
    finish(machine);
    assert.equal(machine.digest(), end.digest);
  });
});

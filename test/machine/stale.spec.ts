/** Looking for uses of stale TLB entries changes nothing that a program sees, and finds what programs forget. */
import assert from 'node:assert/strict';
import type { Machine, MachineOptions } from '../../emulator/machine/api.ts';
import type { MachineEvent } from '../../emulator/machine/events.ts';
import { buildExamples } from '../dune/support.ts';
import { faultKernel } from './faults.ts';
import { example, start } from './support.ts';

const SEED = 11;

function random(): () => number {
  let state = SEED;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const BARE: Partial<MachineOptions> = { machine: 'bare', memory: 64 << 20 };

/** But for what only decides which writes are looked at. */
function tlbOf(machine: Machine): unknown {
  return machine.tlb().map((entry) => ({ ...entry, writeTag: undefined }));
}

/** Runs a program with and without the check, cut at the same places; at some, the checked one goes back to a snapshot or stops checking for a while. */
function lockStep(path: string, most: number, options: Partial<MachineOptions> = {}): MachineEvent[] {
  const next = random();
  const found: MachineEvent[] = [];
  const plain = start(path, options);
  const checked = start(path, options);
  const subscribe = (): (() => void) =>
    checked.machine.events.subscribe(['stale-tlb'], (event) => void found.push(event));
  let unsubscribe = subscribe();
  for (let slice = 0; plain.machine.stats().instructions < most; slice++) {
    const instructions = 1 + Math.floor(next() ** 3 * 60_000);
    const stops = [plain, checked].map(({ machine }) => machine.run(instructions));
    const where = `seed ${SEED}, slice ${slice}, after ${plain.machine.stats().instructions} instructions`;
    assert.deepEqual(stops[1], stops[0], where);
    assert.deepEqual(checked.machine.stats(), plain.machine.stats(), where);
    if (slice % 8 === 0) assert.equal(checked.machine.digest(), plain.machine.digest(), where);
    if (slice % 32 === 16) for (const { machine } of [plain, checked]) machine.restore(machine.snapshot());
    if (slice % 32 === 24) {
      unsubscribe();
      unsubscribe = subscribe();
    }
    if (stops[0]!.kind === 'input') for (const { machine } of [plain, checked]) machine.input(null);
    else if (stops[0]!.kind !== 'budget') break;
  }
  unsubscribe();
  assert.equal(checked.text(), plain.text());
  assert.equal(checked.machine.digest(), plain.machine.digest());
  assert.deepEqual(tlbOf(checked.machine), tlbOf(plain.machine));
  return found;
}

function stopsOf(machine: Machine): MachineEvent[] {
  const stops: MachineEvent[] = [];
  machine.events.subscribe(['stale-tlb'], (event) => {
    machine.stop(event);
    return 'hold';
  });
  for (;;) {
    const stop = machine.run(50_000_000);
    if (stop.kind !== 'event') return stops;
    stops.push(stop.event);
    assert.equal(machine.readRegister(stop.thread, 'rip'), stop.event.rip);
  }
}

describe('the check for stale TLB entries', () => {
  before(() => buildExamples());

  for (const name of ['hello', 'pagefault', 'rings', 'fork-threads', 'signals', 'ept-violation', 'syscalls'])
    it(`makes no difference to ${name}, and finds nothing`, () => {
      const found = lockStep(example(name), 400_000);
      assert.deepEqual(
        found.map(({ summary }) => summary),
        [],
      );
    });

  it('makes no difference to kernels', () => {
    assert.deepEqual(lockStep(example('bare-timer'), 1_000_000, BARE), []);
    const found = lockStep(faultKernel('missing-invlpg'), 100_000, BARE);
    assert.ok(found.length >= 1);
  });

  it('finds the entry that pcid.c changes without INVPCID', () => {
    const [event, ...others] = lockStep(example('pcid'), 1e9);
    assert.deepEqual(others, []);
    assert.match(event!.summary, /^read of gva:0x300000000 by a stale TLB entry: .*; missing: INVLPG 0x300000000$/);
    assert.equal(event!.facts['pcid'], 1);
  });

  for (const translate of [true, false])
    it(`stops before the access of a kernel that forgot INVLPG (${translate ? 'translated' : 'interpreted'})`, () => {
      const run = start(faultKernel('missing-invlpg'), { ...BARE, translate });
      const stops = stopsOf(run.machine);
      assert.equal(stops.length, 1);
      assert.match(stops[0]!.summary, /^read of gva:0x40000000000 by a stale TLB entry/);
      const last = run.machine.run(1000);
      // 1 from the first page, 1 again from the stale entry, 2 after INVLPG.
      assert.deepEqual(last, { kind: 'exited', status: 1 * 16 + 1 * 4 + 2 });
    });
});

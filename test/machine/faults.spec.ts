/** Reports on faults, exits for them and shutdowns: whole, of real programs, at the stop for the event. */
import assert from 'node:assert/strict';
import type { FaultReport } from '../../emulator/describe/fault-report.ts';
import type { MachineOptions } from '../../emulator/machine/api.ts';
import type { EventKind, MachineEvent } from '../../emulator/machine/events.ts';
import { buildExamples } from '../dune/support.ts';
import { type FaultCase, faultKernel } from './faults.ts';
import { guestFaultKernel } from './guest-faults.ts';
import { example, start } from './support.ts';

const BARE: Partial<MachineOptions> = { machine: 'bare', memory: 64 << 20 };
const WINDOW = 0x400_0000_0000n;

/** Runs until an event of a kind that is wanted, holds it if it can be held, and reports on it. */
function reportOn(
  path: string,
  kind: EventKind,
  options: Partial<MachineOptions>,
  wanted: (event: MachineEvent) => boolean = () => true,
): FaultReport {
  const { machine } = start(path, options);
  machine.events.subscribe([kind], (event) => {
    if (!wanted(event)) return;
    machine.stop(event);
    return 'hold';
  });
  const stop = machine.run(1e9);
  assert.ok(stop.kind === 'event');
  const report = machine.faultReport(stop.event);
  assert.ok(report);
  return report;
}
const bare = (name: FaultCase, kind: EventKind, wanted?: (event: MachineEvent) => boolean): FaultReport =>
  reportOn(faultKernel(name), kind, BARE, wanted);
const chain = (report: FaultReport): string[] =>
  report.chain.map(({ name, errorText, failed, because }) =>
    [name, errorText, because, failed].filter(Boolean).join(' | '),
  );
const abnormal = ({ facts }: MachineEvent): boolean => Boolean(facts['abnormal']);

describe('fault reports', () => {
  before(() => buildExamples());

  it('a triple fault by a broken IDT: every fault and why it was not delivered', () => {
    const report = bare('broken-idt', 'diagnostic', abnormal);
    assert.equal(report.title, 'triple fault');
    const [first, second, third, fourth, ...more] = chain(report);
    assert.deepEqual(more, []);
    assert.match(first!, /^#PF \| not present, read, supervisor mode \| .*gate/i);
    assert.match(second!, /^#(GP|NP) \| IDT entry 14.*#DF|double fault/);
    assert.match(third!, /^#DF/);
    assert.match(fourth!, /^#(GP|NP) \| IDT entry 8/);
    assert.equal(report.walk!.gva, WINDOW);
    assert.match(report.walk!.result, /PML4E is not present/);
    assert.deepEqual(
      report.walk!.levels.map(({ name, entry }) => [name, entry?.refused]),
      [['PML4E', true]],
    );
  });

  it('a double fault by a bad stack', () => {
    const report = bare('bad-stack', 'exception', ({ facts }) => facts['vector'] === 8);
    assert.equal(report.title, '#DF double fault');
    const [first, second, third] = chain(report);
    assert.match(first!, /^#PF.*#PF at 0x40000001ff8/);
    assert.match(second!, /^#PF \| not present, write, supervisor mode .*double fault/);
    assert.match(third!, /^#DF \| .*#PF at 0x40000001ff8/);
    assert.equal(report.chain[1]!.gva, WINDOW + 0x1ff8n);
    assert.match(report.chain[1]!.result!, /PML4E is not present/);
  });

  it('a reserved bit', () => {
    const report = bare('reserved-bit', 'page-fault');
    assert.equal(report.title, '#PF page fault');
    assert.deepEqual(chain(report), ['#PF | a reserved bit is set, read, supervisor mode']);
    const last = report.walk!.levels.at(-1)!;
    assert.equal(last.name, 'PTE');
    assert.equal(last.entry!.outcome, 'reserved-bit');
    assert.match(report.walk!.result, /bit 51 \(physical addresses have 46 bits\)/);
    assert.deepEqual(report.walk!.rights, []);
    assert.match(report.tlbSummary, /no cached translation/);
  });

  it('SMAP', () => {
    const report = bare('smap-access', 'page-fault');
    assert.match(report.walk!.result, /SMAP forbids ring 0 to touch user pages/);
    const [read, write, execute] = report.walk!.rights;
    assert.deepEqual([read!.given, write!.given, execute!.given], [false, false, true]);
    assert.match(read!.decidedBy[0]!, /^SMAP/);
    assert.match(report.controls.find(({ name }) => name === 'CR4')!.text, /SMAP/);
  });

  it('a use of a stale entry', () => {
    const report = bare('missing-invlpg', 'stale-tlb');
    assert.equal(report.title, 'stale TLB entry used');
    const [cached] = report.tlb;
    assert.equal(cached!.stale, true);
    assert.deepEqual(cached!.missing.slice(0, 1), ['INVLPG 0x40000000000']);
    assert.equal(cached!.change!.byInstruction, true);
    assert.match(report.tlbSummary, /missing: INVLPG 0x40000000000/);
  });

  it('a page fault of a Dune program, both tables', () => {
    const report = reportOn(example('pagefault'), 'page-fault', {}, ({ facts }) => facts['errorCode'] === 3);
    assert.equal(report.walk!.paging, '4-level paging under EPT');
    assert.deepEqual(
      report.walk!.levels.map(({ name }) => name),
      ['PML4E', 'PDPTE', 'PDE', 'PTE'],
    );
    for (const { ept } of report.walk!.levels) assert.ok(ept.length >= 3);
    assert.equal(report.walk!.levels[3]!.entry!.outcome, 'refused');
    const write = report.walk!.rights.find(({ wanted }) => wanted)!;
    assert.equal(write.right, 'write');
    assert.match(write.decidedBy[0]!, /R\/W: PTE is read-only/);
  });

  it('an EPT violation that Dune cannot resolve', () => {
    const report = reportOn(example('ept-violation'), 'diagnostic', {}, abnormal);
    assert.equal(report.title, 'EPT violation');
    assert.match(report.headline, /Linux refuses a read/);
    const last = report.walk!.levels.at(-1)!;
    assert.equal(last.name, 'page');
    assert.equal(last.ept.at(-1)!.outcome, 'not-present');
    assert.match(report.advice!, /no SIGSEGV/);
  });

  it('a guest that halts for good, while the timer of its hypervisor ticks, is a deadlock', () => {
    const { machine } = start(guestFaultKernel('halted').kernel, BARE);
    assert.equal(machine.run(1e7).kind, 'deadlock');
    assert.equal(machine.threads()[0]!.mode, 'guest');
  });

  it('a triple fault of a Dune program', () => {
    const report = reportOn(example('triple-fault'), 'diagnostic', {}, abnormal);
    assert.equal(report.title, 'triple fault');
    assert.deepEqual(
      report.chain.map(({ name }) => name),
      ['#PF', '#GP', '#DF', '#GP'],
    );
    assert.equal(report.walk!.gva, 0x5000_0000_0000n);
    assert.match(report.advice!, /LIDT/);
  });
});

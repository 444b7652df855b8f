/** VT-x row by row, in assembly, in root operation on the bare board: exits, checks, errors, events, translations, APIC virtualisation. */
import assert from 'node:assert/strict';
import { EXIT_REASONS, ExitReason, exitReasonName } from '../../emulator/vmx/exit-reasons.ts';
import { VmxError } from '../../emulator/vmx/errors.ts';
import { checkRows } from './checks.ts';
import { ConformanceKernel, type Findings, assembleKernel, bootKernel, read } from './kernel.ts';

const SOURCES = ['exits', 'instructions', 'events', 'translations', 'ept-levels', 'apic'].map((name) =>
  read(`${name}.rows.s`),
);
const X = ExitReason;
/** Exit reasons that cannot come about, and why. */
const ABSENT: ReadonlyMap<string, readonly number[]> = new Map([
  ['no SMM', [X.IoSmi, X.OtherSmi, X.Rsm]],
  ['no SMX', [X.Getsec]],
  ['no machine checks', [X.EntryFailureMachineCheck]],
  ['no SGX', [X.Encls, X.Enclv]],
  ['IA32_XSS has no bits that the bitmap could name', [X.Xsaves, X.Xrstors]],
  [
    'no such instruction',
    [X.Pconfig, X.Umwait, X.Tpause, X.Loadiwkey, X.EnqcmdPasid, X.EnqcmdsPasid, X.Seamcall, X.Tdcall],
  ],
  [
    'no such instruction of an MSR',
    [X.Rdmsrlist, X.Wrmsrlist, X.Urdmsr, X.Uwrmsr, X.RdmsrImmediate, X.WrmsrnsImmediate],
  ],
  ['the control does not exist', [X.BusLock, X.InstructionTimeout]],
]);
const E = VmxError;
/** VM-instruction errors that cannot come about, and why. */
const ABSENT_ERRORS: ReadonlyMap<string, readonly number[]> = new Map([
  ['the launch state of a VMCS outlives VMXOFF', [E.VmresumeAfterVmxoff]],
  ['only where VMWRITE does not reach exit information: below', [E.ReadOnlyField]],
  [
    'no SMM and dual-monitor treatment',
    [
      ...[E.EntryExecutivePointer, E.EntryExecutiveNotLaunched, E.EntryExecutiveNotVmxon, E.EntryExecutiveControls],
      ...[E.VmcallNotClear, E.VmcallExitControls, E.VmcallMsegRevision, E.VmcallMonitorFeatures, E.VmxoffDualMonitor],
    ],
  ],
]);

/** What is wrong, by row. */
const wrong = ({ rows }: Findings): Record<string, readonly string[]> =>
  Object.fromEntries(rows.filter(({ failures }) => failures.length > 0).map(({ name, failures }) => [name, failures]));

describe('VT-x conformance, in assembly', () => {
  let translated: Findings;
  let kernel: ConformanceKernel;
  before(() => {
    kernel = new ConformanceKernel(...SOURCES, checkRows());
    translated = kernel.run();
  });

  it('every row holds', () => {
    assert.ok(translated.rows.length > 330, `${translated.rows.length} rows`);
    assert.deepEqual(wrong(translated), {});
  });

  it('every row holds without translation', () => {
    const interpreted = kernel.run({ translate: false });
    assert.deepEqual(wrong(interpreted), {});
    assert.equal(interpreted.instructions, translated.instructions);
  });

  it('every exit reason is provoked, or cannot come about', () => {
    const never = [...ABSENT.values()].flat();
    const names = (reasons: Iterable<number>): string[] => [...reasons].sort((a, b) => a - b).map(exitReasonName);
    assert.deepEqual(
      names(new Set([...translated.provoked, ...never])),
      names(EXIT_REASONS.map(({ number }) => number)),
    );
    assert.deepEqual(names(never.filter((reason) => translated.provoked.has(reason))), []);
  });

  it('every VM-instruction error is provoked, or cannot come about', () => {
    const never = [...ABSENT_ERRORS.values()].flat();
    const found = [...translated.errors].filter((error) => error !== 0);
    const sorted = (errors: Iterable<number>): number[] => [...new Set(errors)].sort((a, b) => a - b);
    assert.deepEqual(sorted([...found, ...never]), sorted(Object.values(VmxError)));
  });

  it('tells what a row finds instead', () => {
    const { rows } = new ConformanceKernel(
      'row "wrong"\nput guestRsp, 5\nwant guestRsp, 6\nrun "cpuid"\nexits X_Hlt\n',
    ).run();
    const [row] = rows;
    assert.equal(row!.name, 'wrong');
    assert.match(row!.failures[0]!, /^operation 1, WANT guest RSP .* 0x6: found 0x5$/);
    assert.match(row!.failures[1]!, /^operation 3, EXIT 0xc .*: found 0xa$/);
  });

  it('error 13, VMWRITE to a read-only field, on a processor that has them', () => {
    const row = 'row "error 13"\nroot "mov eax, exitReason; vmwrite rax, rcx"\nfails E_ReadOnlyField\n';
    assert.deepEqual(wrong(new ConformanceKernel(row).run({ cpuModel: 'max,-vmx-vmwrite-any' })), {});
  });

  it('EPTs of 5 levels: refused everywhere by a processor without them', () => {
    const source = read('ept-levels-absent.rows.s');
    for (const cpuModel of ['max,-vmx-page-walk-5', 'haswell'])
      assert.deepEqual(wrong(new ConformanceKernel(source).run({ cpuModel })), {}, cpuModel);
  });

  it('guest-physical addresses beyond 48 bits', () => {
    const wide = new ConformanceKernel(read('wide.rows.s'));
    for (const translate of [true, false]) assert.deepEqual(wrong(wide.run({ physBits: 52, translate })), {});
  });

  it('a violation under an EPT of 5 levels is explained level by level', () => {
    const rows = [
      'row "violation"',
      'poke PAGE, "EPT + 7"',
      'put eptPointer, "PAGE + 0x26"',
      'poke "EPT + 0x6000 + 8", 0',
      'run "mov eax, [rbx]", "mov ebx, WINDOW + 0x1000"',
      '',
    ];
    const machine = bootKernel(assembleKernel(rows.join('\n')));
    machine.events.subscribe(['vm-exit'], (event) => {
      if (event.facts['number'] !== ExitReason.EptViolation) return;
      machine.stop(event);
      return 'hold';
    });
    const stop = machine.run(1e7);
    assert.ok(stop.kind === 'event');
    const { walk, controls } = machine.faultReport(stop.event)!;
    assert.equal(walk!.paging, '4-level paging under 5-level EPT');
    const names = ['EPT PML5E', 'EPT PML4E', 'EPT PDPTE', 'EPT PDE', 'EPT PTE'];
    for (const { ept } of walk!.levels)
      assert.deepEqual(
        ept.map(({ name }) => name),
        names.slice(0, ept.length),
      );
    assert.equal(walk!.levels.at(-1)!.ept.length, 5);
    assert.match(walk!.result, /EPT PTE is not present/);
    assert.equal(controls.find(({ name }) => name === 'EPTP')!.text, '5 levels');
  });

  const ABORTS: readonly (readonly [indicator: number, what: string, address: string, count: string, msr: number])[] = [
    [1, 'an MSR that cannot be stored', 'exitMsrStoreAddress', 'exitMsrStoreCount', 0x808],
    [4, 'an MSR that cannot be loaded', 'exitMsrLoadAddress', 'exitMsrLoadCount', 0xc0000100],
  ];
  for (const [indicator, what, address, count, msr] of ABORTS)
    it(`VMX abort ${indicator}: ${what}`, () => {
      const rows = `row "abort"\nput ${address}, MSR_AREA\nput ${count}, 1\npoke MSR_AREA, ${msr}\nrun "cpuid"\n`;
      assert.equal(new ConformanceKernel(rows).abortIndicator(), indicator);
    });
});

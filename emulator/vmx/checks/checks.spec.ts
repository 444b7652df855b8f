import assert from 'node:assert/strict';
import { ACTIVITY } from '../../cpu/layout.ts';
import { Entry, Pin, Primary, Secondary } from '../controls.ts';
import { Field, type FieldName } from '../fields.ts';
import { type VmxMachine, createVmxMachine } from '../vmx-test-support.ts';
import { ENTRY_CHECKS } from './index.ts';

const NOT_CANONICAL = 1n << 60n;
const TOO_WIDE = 1n << 45n;

/** A value, or a change of the value that stands there. */
type Change = bigint | ((value: bigint) => bigint);
const set = (bits: number) => (value: bigint) => value | BigInt(bits >>> 0);
const clear = (bits: number) => (value: bigint) => value & ~BigInt(bits >>> 0);

/** Each violates the named check and no other. */
const alone: readonly (readonly [id: string, changes: Partial<Record<FieldName, Change>>])[] = [
  ['controls.pin.reserved', { pinBasedControls: set(Pin.PreemptionTimer) }],
  ['controls.primary.reserved', { primaryControls: set(Primary.MonitorTrapFlag) }],
  ['controls.secondary.reserved', { secondaryControls: set(Secondary.UnrestrictedGuest) }],
  ['controls.cr3-targets', { cr3TargetCount: 5n }],
  ['controls.io-bitmap-a', { primaryControls: set(Primary.IoBitmaps), ioBitmapA: 0x1001n }],
  ['controls.io-bitmap-b', { primaryControls: set(Primary.IoBitmaps), ioBitmapB: TOO_WIDE }],
  ['controls.msr-bitmaps', { msrBitmaps: 0x800n }],
  ['controls.virtual-apic', { primaryControls: set(Primary.TprShadow), virtualApicAddress: 0x103004n }],
  [
    'controls.tpr-threshold.reserved',
    { primaryControls: set(Primary.TprShadow), virtualApicAddress: 0x103000n, tprThreshold: 0x10n },
  ],
  [
    'controls.tpr-threshold.vtpr',
    { primaryControls: set(Primary.TprShadow), virtualApicAddress: 0x103000n, tprThreshold: 1n },
  ],
  ['controls.virtual-nmis', { pinBasedControls: clear(Pin.NmiExiting) }],
  ['controls.apic-without-shadow', { secondaryControls: set(Secondary.X2apicMode) }],
  ['controls.vpid', { vpid: 0n }],
  ['controls.eptp', { eptPointer: set(7) }],
  ['controls.exit.reserved', { exitControls: clear(1) }],
  ['controls.exit.msr-store', { exitMsrStoreCount: 1n, exitMsrStoreAddress: 8n }],
  ['controls.exit.msr-load', { exitMsrLoadCount: 1n, exitMsrLoadAddress: TOO_WIDE }],
  ['controls.entry.reserved', { entryControls: set(Entry.EntryToSmm) }],
  ['controls.injection.type', { entryInterruptionInformation: 0x8000_0120n }],
  ['controls.injection.vector', { entryInterruptionInformation: 0x8000_0320n }],
  ['controls.injection.error-code', { entryInterruptionInformation: 0x8000_030dn }],
  ['controls.injection.reserved', { entryInterruptionInformation: 0x8000_1306n }],
  [
    'controls.injection.error-code-bits',
    { entryInterruptionInformation: 0x8000_0b0dn, entryExceptionErrorCode: 0x1_0000n },
  ],
  ['controls.injection.length', { entryInterruptionInformation: 0x8000_0440n, entryInstructionLength: 16n }],
  ['controls.entry.msr-load', { entryMsrLoadCount: 1n, entryMsrLoadAddress: 4n }],

  ['host.cr0', { hostCr0: clear(0x20) }],
  ['host.cr4', { hostCr4: clear(0x2000) }],
  ['host.cr3', { hostCr3: TOO_WIDE }],
  ['host.sysenter-esp', { hostSysenterEsp: NOT_CANONICAL }],
  ['host.es.selector', { hostEsSelector: 0x1bn }],
  ['host.cs.null', { hostCsSelector: 0n }],
  ['host.tr.null', { hostTrSelector: 0n }],
  ['host.fs.base', { hostFsBase: NOT_CANONICAL }],
  ['host.idtr.base', { hostIdtrBase: NOT_CANONICAL }],
  ['host.pae', { hostCr4: clear(0x20) }],
  ['host.rip', { hostRip: NOT_CANONICAL }],

  ['guest.cr0', { guestCr0: clear(0x20) }],
  ['guest.cr4', { guestCr4: clear(0x2000) }],
  ['guest.cr3', { guestCr3: TOO_WIDE }],
  ['guest.dr7', { entryControls: set(Entry.LoadDebugControls), guestDr7: 1n << 32n }],
  ['guest.sysenter-eip', { guestSysenterEip: NOT_CANONICAL }],
  ['guest.efer', { entryControls: set(Entry.LoadEfer), guestEfer: 0xc01n }],
  ['guest.pat', { entryControls: set(Entry.LoadPat), guestPat: 2n }],
  ['guest.tr.selector', { guestTrSelector: 0x3cn }],
  ['guest.ss.selector', { guestCsSelector: 0x11n }],
  ['guest.gs.base', { guestGsBase: NOT_CANONICAL }],
  ['guest.ds.base', { guestDsBase: 1n << 32n }],
  ['guest.cs.rights.type', { guestCsAccessRights: 0xa093n }],
  ['guest.ss.rights.type', { guestSsAccessRights: 0xc091n }],
  ['guest.es.rights.type', { guestEsAccessRights: 0xc092n }],
  ['guest.ds.rights.s', { guestDsAccessRights: 0xc083n }],
  ['guest.fs.rights.p', { guestFsAccessRights: 0xc013n }],
  ['guest.gs.rights.reserved', { guestGsAccessRights: 0xc193n }],
  ['guest.ds.rights.g', { guestDsLimit: 0xffff_f000n }],
  ['guest.ds.rights.dpl', { guestDsSelector: 0x1bn }],
  ['guest.cs.rights.db', { guestCsAccessRights: 0xe09bn }],
  ['guest.tr.rights.type', { guestTrAccessRights: 0x89n }],
  ['guest.ldtr.rights.type', { guestLdtrAccessRights: 0x83n }],
  ['guest.gdtr.base', { guestGdtrBase: NOT_CANONICAL }],
  ['guest.idtr.limit', { guestIdtrLimit: 0x1_0000n }],
  ['guest.rip', { guestRip: NOT_CANONICAL }],
  ['guest.rflags.reserved', { guestRflags: 0n }],
  ['guest.rflags.vm', { guestRflags: 0x2_0002n }],
  ['guest.rflags.if', { entryInterruptionInformation: 0x8000_0030n }],
  ['guest.activity.state', { guestActivity: 4n }],
  ['guest.activity.injection', { guestActivity: 3n, entryInterruptionInformation: 0x8000_0306n }],
  ['guest.interruptibility.reserved', { guestInterruptibility: 0x20n }],
  ['guest.interruptibility.sti', { guestInterruptibility: 1n }],
  ['guest.interruptibility.smi', { guestInterruptibility: 4n }],
  ['guest.interruptibility.virtual-nmi', { guestInterruptibility: 8n, entryInterruptionInformation: 0x8000_0202n }],
  ['guest.pending-debug.reserved', { guestPendingDebugExceptions: 0x10n }],
  ['guest.pending-debug.step', { guestPendingDebugExceptions: 0x4000n, guestInterruptibility: 2n }],
  ['guest.link-pointer', { vmcsLinkPointer: 0x1000n }],
];

function apply(m: VmxMachine, changes: Partial<Record<FieldName, Change>>): void {
  for (const [name, change] of Object.entries(changes)) {
    const encoding = Field[name as FieldName];
    m.set(encoding, typeof change === 'bigint' ? change : change(m.field(encoding)));
  }
}

describe('VM-entry checks', () => {
  let m: VmxMachine;
  let saved: Uint8Array;
  before(() => {
    m = createVmxMachine('guest: vmcall\n host: hlt');
    saved = m.context.physical.slice(0x101000, 4096).slice();
  });
  beforeEach(() => m.context.physical.write(0x101000, saved));

  it('accept the machine of the specs', () => {
    assert.deepEqual(m.context.vmx.violatedChecks(), []);
  });

  for (const [id, changes] of alone) {
    it(`${id} alone`, () => {
      apply(m, changes);
      const failures = m.context.vmx.violatedChecks();
      assert.deepEqual(
        failures.map((failure) => failure.id),
        [id],
      );
      const group = failures[0]!.group;
      const { cpu } = m.context;
      const before = cpu.save();
      const status = m.launch();
      if (group === 'guest') {
        assert.deepEqual(status, { kind: 'succeed' });
        assert.equal(m.field(Field.exitReason), 0x8000_0021n);
        assert.equal(cpu.nonRoot, false);
      } else assert.deepEqual(status, { kind: 'fail-valid', error: group === 'controls' ? 7 : 8 });
      cpu.load(before);
      m.context.engine.contextChanged();
    });
  }

  it('are looked at again after a VMWRITE, although an entry has passed', () => {
    assert.deepEqual(m.launch(), { kind: 'succeed' });
    m.run();
    m.set(Field.guestGdtrBase, NOT_CANONICAL);
    m.context.mem.set32(ACTIVITY, 0);
    m.context.vmx.vmresume();
    assert.equal(m.field(Field.exitReason), 0x8000_0021n);
  });

  it('have ids of their own and name fields that exist', () => {
    const rows = Object.values(ENTRY_CHECKS).flat();
    assert.equal(new Set(rows.map((row) => row.id)).size, rows.length);
    for (const row of rows)
      for (const field of row.fields) assert.ok(Field[field] !== undefined, `${row.id}: ${field}`);
  });
});

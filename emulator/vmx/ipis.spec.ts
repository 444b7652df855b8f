import assert from 'node:assert/strict';
import type { BoardBus } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { cpuModelOf } from '../cpu/system/models.ts';
import { capabilityMsrs } from './capabilities.ts';
import { Primary, Secondary, Tertiary } from './controls.ts';
import { describeVmcs } from './describe.ts';
import { ExitReason } from './exit-reasons.ts';
import { Field } from './fields.ts';
import { DESCRIPTOR, VIRTUAL_APIC, type VmxMachine, createVmxMachine } from './vmx-test-support.ts';
import { wouldExit } from './would-exit.ts';

const ICR = 0x830;
const TABLE = 0x106000;
const TARGET = 5;
const VECTOR = 0xa3;
/** NV E1h to 0102_0304h. */
const NOTIFICATION = 0x0102_0304_00e1_0000n;

/** A guest with IPI virtualization in x2APIC mode; virtual processor 5 has a descriptor. */
function sender(): VmxMachine {
  const m = createVmxMachine('guest: vmcall\n host: hlt');
  const or = (field: number, bits: number): void => m.set(field, m.field(field) | BigInt(bits >>> 0));
  or(Field.primaryControls, Primary.TprShadow | Primary.TertiaryControls);
  or(Field.secondaryControls, Secondary.X2apicMode);
  or(Field.tertiaryControls, Tertiary.IpiVirtualization);
  m.set(Field.virtualApicAddress, VIRTUAL_APIC);
  m.set(Field.pidPointerTableAddress, TABLE);
  m.set(Field.lastPidPointerIndex, TARGET);
  const { physical } = m.context;
  physical.write64(TABLE + TARGET * 8, BigInt(DESCRIPTOR) | 1n);
  physical.write64(DESCRIPTOR + 32, NOTIFICATION);
  assert.deepEqual(m.launch(), { kind: 'succeed' });
  assert.equal(m.context.cpu.nonRoot, true);
  return m;
}

/** Specs share a processor: what it is to have again. */
let restore = (): void => {};

/** What a board is told of. */
function listen(m: VmxMachine, apicBase = m.context.mem.get64(L.MSR_APIC_BASE)): string[] {
  const { context } = m;
  const before = { board: context.board, apicBase: context.mem.get64(L.MSR_APIC_BASE) };
  restore = () => {
    context.board = before.board;
    context.mem.set64(L.MSR_APIC_BASE, before.apicBase);
    restore = () => {};
  };
  context.mem.set64(L.MSR_APIC_BASE, apicBase);
  const told: string[] = [];
  const hex = (value: number | bigint): string => value.toString(16);
  context.board = {
    writeMemory: (hpa: number, data: Uint8Array) =>
      told.push(`${hex(hpa)} = ${hex(new DataView(data.buffer).getUint32(0, true))}`),
    writeMsr: (msr: number, value: bigint) => told.push(`MSR ${hex(msr)} = ${hex(value)}`),
  } as unknown as BoardBus;
  return told;
}

const command = (vector: number, target = TARGET): bigint => (BigInt(target) << 32n) | BigInt(vector);

describe('IPI virtualization', () => {
  afterEach(() => restore());

  it('posts the vector and notifies as the local APIC is: bits 15:8 of the destination, or all', () => {
    for (const [base, expected] of [
      [0xfee0_0900n, ['fee00310 = 3000000', 'fee00300 = e1']],
      [0xfee0_0d00n, ['MSR 830 = 1020304000000e1']],
      [0xfee0_0100n, []],
    ] as const) {
      const m = sender();
      const { context } = m;
      const told = listen(m, base);
      assert.deepEqual(context.vmx.writeVirtualApic(ICR, command(VECTOR)), {});
      assert.deepEqual(told, expected);
      assert.equal(context.physical.read32(DESCRIPTOR + 20), 8, 'PIR');
      assert.equal(context.physical.read64(DESCRIPTOR + 32), NOTIFICATION | 1n, 'ON');
      context.vmx.writeVirtualApic(ICR, command(0x40));
      assert.equal(told.length, expected.length, 'one notification is outstanding');
      assert.equal(context.physical.read32(DESCRIPTOR + 8), 1);
      restore();
    }
  });

  it('posts nothing where no memory is, and exits where the table is in none', () => {
    const m = sender();
    const { vmx, physical } = m.context;
    const told = listen(m);
    physical.write64(TABLE + TARGET * 8, 0xf_0000_0001n);
    assert.deepEqual(vmx.writeVirtualApic(ICR, command(VECTOR)), {});
    assert.deepEqual(told, []);
    m.set(Field.pidPointerTableAddress, 0xf_0000_0000n);
    assert.equal(vmx.writeVirtualApic(ICR, command(VECTOR))?.exit, ExitReason.ApicWrite);
  });

  it('is foretold, with the reason why it exits', () => {
    const m = sender();
    const ask = (value: bigint): string => wouldExit(m.context, { kind: 'msr', msr: ICR, write: true, value }).headline;
    assert.match(ask(command(VECTOR)), /^It does not exit/);
    assert.match(ask(command(15)), /^It exits after .*APIC_WRITE.*vector 15 is below 16$/);
    assert.match(ask(command(VECTOR, 6)), /virtual APIC ID 6 is above the last PID-pointer index, 5$/);
    assert.match(ask(command(VECTOR, 4)), /PID pointer 4, 0x0, is not valid/);
    assert.match(ask(command(0x8_0000 | VECTOR)), /cannot virtualise this write$/);
    assert.match(ask(command(0x2000 | VECTOR)), /^It does not exit: it raises #GP/);
    assert.equal(m.context.physical.read32(DESCRIPTOR + 20), 0, 'nothing is posted');
    // Reads are not virtualised without APIC-register virtualization.
    const read = wouldExit(m.context, { kind: 'msr', msr: ICR, write: false });
    assert.match(read.headline, /^It does not exit: it raises #GP/);
  });

  it('wants the last entry of the table within the physical-address width', () => {
    const m = sender();
    const width = 1n << BigInt(m.context.mem.get32(L.PHYS_BITS));
    m.set(Field.pidPointerTableAddress, width - 48n);
    assert.deepEqual(m.context.vmx.violatedChecks(), []);
    m.set(Field.lastPidPointerIndex, TARGET + 1);
    assert.deepEqual(
      m.context.vmx.violatedChecks().map(({ id }) => id),
      ['controls.ipi.table'],
    );
  });

  it('needs a TPR shadow, and no other tertiary control', () => {
    const m = sender();
    m.set(Field.secondaryControls, m.field(Field.secondaryControls) & ~BigInt(Secondary.X2apicMode));
    m.set(Field.primaryControls, m.field(Field.primaryControls) & ~BigInt(Primary.TprShadow));
    m.set(Field.tertiaryControls, (1n << 40n) | 0x91n);
    const failures = m.context.vmx.violatedChecks();
    assert.deepEqual(
      failures.map(({ id }) => id),
      ['controls.tertiary.reserved', 'controls.apic-without-shadow'],
    );
    assert.equal(
      failures[0]!.because,
      '"LOADIWKEY exiting" (bit 0), "virtualize IA32_SPEC_CTRL" (bit 7), bit 40 must be 0 (492h)',
    );
    const { parts, text } = describeVmcs(m.context.vmx).find(({ encoding }) => encoding === Field.tertiaryControls)!;
    assert.equal(text, 'LOADIWKEY exiting, IPI virtualization, virtualize IA32_SPEC_CTRL');
    assert.deepEqual(parts?.map(({ lo, fixed }) => [lo, fixed]).at(-1), [40, 0n]);
    assert.deepEqual(parts?.find(({ lo }) => lo === 4)?.fixed, undefined);
  });

  it('is what a processor model can lack, alone or with all tertiary controls', () => {
    const capabilities = (...lacking: string[]): ReadonlyMap<number, bigint> => capabilityMsrs(0n, new Set(lacking));
    assert.equal(capabilities().get(0x492), 0x10n);
    assert.equal(capabilities('vmx-ipi-virtualization').get(0x492), 0n);
    assert.equal(capabilities('vmx-activate-tertiary-controls').get(0x492), undefined);
    for (const name of ['max,-vmx-activate-tertiary-controls', 'haswell', 'baseline']) {
      const { vmx } = createVmxMachine('guest: nop\n host: hlt', cpuModelOf(name)).context;
      assert.equal(vmx.capability(0x492), undefined, name);
      assert.equal((vmx.capability(0x48e)! >> 49n) & 1n, 0n, name);
    }
  });
});

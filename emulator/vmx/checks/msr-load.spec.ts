import assert from 'node:assert/strict';
import { Field } from '../fields.ts';
import { MSR_AREA, type VmxMachine, createVmxMachine } from '../vmx-test-support.ts';
import { MSR_LOAD_CHECKS } from './msr-load.ts';

const SYSENTER_CS = 0x174n;
const FAILED_MSR_LOADING = 0x8000_0022n;

describe('entries of a VM-entry MSR-load area', () => {
  let m: VmxMachine;
  beforeEach(() => {
    m = createVmxMachine('guest: vmcall\n host: hlt');
  });

  /** Index with the reserved half, and data, of each entry. */
  function area(...entries: readonly (readonly [index: bigint, data: bigint])[]): void {
    entries.forEach(([index, data], at) => {
      m.context.physical.write64(MSR_AREA + at * 16, index);
      m.context.physical.write64(MSR_AREA + at * 16 + 8, data);
    });
    m.set(Field.entryMsrLoadAddress, MSR_AREA);
    m.set(Field.entryMsrLoadCount, entries.length);
  }
  const violated = (): string[] => m.context.vmx.violatedChecks().map(({ id, entry }) => `${id} ${entry}`);
  /** Exit qualification of the entry that fails. */
  function fails(): bigint {
    assert.deepEqual(m.launch(), { kind: 'succeed' });
    assert.equal(m.context.cpu.nonRoot, false);
    assert.equal(m.field(Field.exitReason), FAILED_MSR_LOADING);
    return m.field(Field.exitQualification);
  }

  it('hold when all can be loaded', () => {
    area([SYSENTER_CS, 8n], [0xc000_0082n, 0x1234n]);
    assert.deepEqual(violated(), []);
    m.launch();
    assert.equal(m.context.cpu.nonRoot, true);
  });

  const CASES: readonly (readonly [id: string, index: bigint, data: bigint])[] = [
    ['msr-load.base', 0xc000_0100n, 0n],
    ['msr-load.base', 0xc000_0101n, 0n],
    ['msr-load.x2apic', 0x808n, 0n],
    ['msr-load.reserved', SYSENTER_CS | (1n << 32n), 0n],
    ['msr-load.value', 0x9bn, 0n],
    ['msr-load.value', 0xc000_0082n, 1n << 60n],
    ['msr-load.value', 0xc000_0080n, 0x400n],
    ['msr-load.value', 0x277n, 2n],
  ];
  for (const [id, index, data] of CASES)
    it(`${id}: index ${index.toString(16)}, data ${data.toString(16)}`, () => {
      area([SYSENTER_CS, 8n], [index, data]);
      assert.deepEqual(violated(), [`${id} 2`]);
      assert.equal(fails(), 2n);
    });

  it('are all listed, in order', () => {
    area([0xc000_0100n, 0n], [SYSENTER_CS, 8n], [0x277n, 2n], [0x800n, 0n]);
    assert.deepEqual(violated(), ['msr-load.base 1', 'msr-load.value 3', 'msr-load.x2apic 4']);
    assert.equal(fails(), 1n);
  });

  it('are judged by the CR0 and EFER of the guest', () => {
    area([0xc000_0080n, 0x500n]);
    assert.deepEqual(violated(), []);
    area([0xc000_0080n, 0n]);
    assert.deepEqual(violated(), ['msr-load.value 1']);
    const [failure] = m.context.vmx.violatedChecks();
    assert.match(failure!.found, /entry 1 at 0x105000: MSR 0xc0000080 \(EFER\) = 0x0/);
    assert.match(failure!.because!, /EFER.LME cannot change while paging is on/);
  });

  it('are in memory', () => {
    area([SYSENTER_CS, 8n], [SYSENTER_CS, 8n]);
    m.set(Field.entryMsrLoadAddress, (16 << 20) - 16);
    assert.deepEqual(violated(), ['msr-load.value 1', 'msr-load.memory 2']);
    m.context.physical.write64((16 << 20) - 16, SYSENTER_CS);
    assert.deepEqual(violated(), ['msr-load.memory 2']);
    assert.equal(fails(), 2n);
  });

  it('are at most 512', () => {
    for (let entry = 0; entry < 512; entry++) m.context.physical.write64(MSR_AREA + entry * 16, SYSENTER_CS);
    m.set(Field.entryMsrLoadAddress, MSR_AREA);
    m.set(Field.entryMsrLoadCount, 513);
    assert.deepEqual(violated(), ['msr-load.count 513']);
    assert.equal(fails(), 513n);
  });

  it('have ids of their own', () => {
    assert.equal(new Set(MSR_LOAD_CHECKS.map(({ id }) => id)).size, MSR_LOAD_CHECKS.length);
  });
});

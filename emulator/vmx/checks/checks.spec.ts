import assert from 'node:assert/strict';
import { ACTIVITY } from '../../cpu/layout.ts';
import { Field, type FieldName } from '../fields.ts';
import { type VmxMachine, createVmxMachine } from '../vmx-test-support.ts';
import { ENTRY_CHECKS, SETTLED_WRITES } from './index.ts';
import { type Change, VIOLATIONS } from './violations.ts';

function apply(m: VmxMachine, changes: Partial<Record<FieldName, Change>>): void {
  for (const [name, change] of Object.entries(changes)) {
    const encoding = Field[name as FieldName];
    m.set(encoding, typeof change === 'bigint' ? change : change(m.field(encoding)));
  }
}

const NOT_CANONICAL = 1n << 60n;

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

  it('are each violated below', () => {
    const rows = Object.values(ENTRY_CHECKS).flat();
    assert.deepEqual(new Set(VIOLATIONS.map(([id]) => id)), new Set(rows.map((row) => row.id)));
  });

  it('leave out the host RSP, whose VMWRITE lets the remembered ones stand', () => {
    assert.ok(SETTLED_WRITES.has(Field.hostRsp));
    const about = Object.values(ENTRY_CHECKS).flatMap((rows) => rows.filter((row) => row.fields.includes('hostRsp')));
    assert.deepEqual(about, []);
  });

  for (const [id, changes, also = []] of VIOLATIONS) {
    it(`${id} ${also.length > 0 ? `with ${also.join(', ')}` : 'alone'}`, () => {
      apply(m, changes);
      const failures = m.context.vmx.violatedChecks();
      assert.deepEqual(new Set(failures.map((failure) => failure.id)), new Set([id, ...also]));
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

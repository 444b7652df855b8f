import assert from 'node:assert/strict';
import { CPU_MODELS, CPU_MODEL_NAMES, type CpuModel, cpuModelOf } from '../cpu/system/models.ts';
import { capabilityMsrs } from './capabilities.ts';
import { CONTROL_FIELDS, allowedOnes } from './controls.ts';
import { EXIT_REASONS, ExitReason, exitReasonName } from './exit-reasons.ts';
import { Field, VMCS_FIELDS, vmcsField } from './fields.ts';
import { describeQualification } from './qualification.ts';
import { hasField } from './vmcs.ts';

describe('VMX tables', () => {
  it('give every field an encoding of its own that says its width and group', () => {
    const encodings = VMCS_FIELDS.map((field) => field.encoding);
    assert.equal(new Set(encodings).size, encodings.length);
    assert.ok(encodings.every((encoding) => (encoding & 1) === 0 && encoding < 0x8000));
    const of = (encoding: number): unknown[] => {
      const { name, group, bits, writable } = vmcsField(encoding)!;
      return [name, group, bits, writable];
    };
    assert.deepEqual(of(0x0810), ['guestInterruptStatus', 'guest', 16, true]);
    assert.deepEqual(of(0x201a), ['eptPointer', 'control', 64, true]);
    assert.deepEqual(of(0x4402), ['exitReason', 'exit-information', 32, false]);
    assert.deepEqual(of(0x681e), ['guestRip', 'guest', 64, true]);
    assert.deepEqual(of(0x6c16), ['hostRip', 'host', 64, true]);
  });

  it('fit a region of 4 KB', () => {
    assert.ok(16 + VMCS_FIELDS.length * 8 <= 4096);
    assert.ok(
      hasField(Field.tscOffset + 1) &&
        !hasField(Field.guestRip + 1) &&
        hasField(Field.pidPointerTableAddress + 1) &&
        !hasField(0x2036),
    );
  });

  it('number and name exit reasons once', () => {
    assert.equal(new Set(EXIT_REASONS.map((row) => row.number)).size, EXIT_REASONS.length);
    assert.equal(new Set(EXIT_REASONS.map((row) => row.name)).size, EXIT_REASONS.length);
    assert.deepEqual(
      Object.values(ExitReason).sort((a, b) => a - b),
      EXIT_REASONS.map((row) => row.number).sort((a, b) => a - b),
    );
    assert.equal(exitReasonName(0x8000_0021), 'ENTRY_FAILURE_GUEST_STATE');
  });

  it('report capabilities that agree with the control tables', () => {
    const msrs = capabilityMsrs(0x3_27ffn);
    for (const field of CONTROL_FIELDS) {
      for (const must of [field.default1, field.trueDefault1]) assert.equal(must & ~allowedOnes(field), 0, field.title);
    }
    assert.equal(msrs.get(0x480)! >> 32n, 0xd8_1000n, 'region of 4 KB, write-back, INS/OUTS information, TRUE MSRs');
    assert.equal(msrs.get(0x482)! & 0xffff_ffffn, 0x401_e172n);
    assert.equal(msrs.get(0x48e)! & 0xffff_ffffn, 0x400_6172n);
    assert.equal(msrs.get(0x48c), 0xf01_0673_41c1n);
  });

  it('report EPTs of 5 levels for the models that have 5-level paging', () => {
    for (const name of CPU_MODEL_NAMES) {
      const { features, vmxLacks }: CpuModel = CPU_MODELS[name];
      const five = (capabilityMsrs(0n, vmxLacks).get(0x48c)! & 0x80n) !== 0n;
      assert.equal(five, features.has('la57'), name);
    }
    assert.ok(cpuModelOf('haswell,+vmx-page-walk-5').vmxLacks?.has('vmx-page-walk-5') === false);
  });

  it('put qualifications into words', () => {
    const words = (reason: number, qualification: bigint): string => describeQualification(reason, qualification).text;
    assert.equal(words(ExitReason.EptViolation, 0x18an), 'write, EPT allows R');
    assert.equal(
      words(ExitReason.EptViolation, 0x83n),
      'read write of a guest page-table entry, not mapped in the EPT',
    );
    assert.equal(words(ExitReason.CrAccess, 0x304n), 'MOV CR4, RBX');
    assert.equal(words(ExitReason.CrAccess, 0x13n), 'MOV RAX, CR3');
    assert.equal(words(ExitReason.MovDr, 0x117n), 'MOV RCX, DR7');
    assert.equal(words(ExitReason.IoInstruction, 0x3f8_0000n), 'OUT of 1 bytes, port 0x3f8');
    assert.equal(words(ExitReason.Invlpg, 0x1000n), 'of gva:0x1000');
    const parts = describeQualification(ExitReason.EptViolation, 0x18an).parts;
    assert.deepEqual(
      parts.filter((part) => part.value === 1n).map((part) => part.name),
      ['data write', 'readable', 'linear address valid', 'final translation'],
    );
  });
});

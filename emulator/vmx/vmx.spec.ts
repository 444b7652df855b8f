import assert from 'node:assert/strict';
import { UNMAPPED } from '../cpu/system/system-test-support.ts';
import { cpuModelOf } from '../cpu/system/models.ts';
import { InterruptionType } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import { Pin, Primary, Secondary } from './controls.ts';
import { ExitReason, exitReasonName } from './exit-reasons.ts';
import { Field } from './fields.ts';
import {
  DESCRIPTOR,
  HOST_STACK,
  MSR_AREA,
  MSR_BITMAP,
  VIRTUAL_APIC,
  VMCS,
  type VmxMachine,
  createVmxMachine,
  eptEntry,
} from './vmx-test-support.ts';

const HOST = '\n host: hlt\n';

/** Runs the guest up to its first exit; the host has executed its HLT then. */
function exitOf(source: string, prepare: (m: VmxMachine) => void = () => {}): VmxMachine {
  const m = createVmxMachine(`guest:\n${source}\n${HOST}`);
  prepare(m);
  assert.deepEqual(m.launch(), { kind: 'succeed' });
  m.run();
  assert.equal(m.context.cpu.nonRoot, false, 'the guest did not exit');
  return m;
}
function expectReason(m: VmxMachine, reason: number): void {
  assert.equal(exitReasonName(Number(m.field(Field.exitReason))), exitReasonName(reason));
}

describe('VM exits and entries', () => {
  it('carries general registers through, and state through the VMCS', () => {
    const m = exitOf('mov rbx, 0x1234\n mov rsp, 0x4fff0\n stc\n at: vmcall');
    expectReason(m, ExitReason.Vmcall);
    assert.equal(m.field(Field.exitInstructionLength), 3n);
    assert.equal(m.field(Field.guestRip), BigInt(m.symbols.get('at')!));
    assert.equal(m.field(Field.guestRsp), 0x4fff0n);
    assert.equal(m.field(Field.guestRflags), 3n);
    assert.equal(m.context.cpu.gpr(3), 0x1234n);
    assert.equal(m.context.cpu.rsp, BigInt(HOST_STACK));
    assert.equal(m.field(Field.idtVectoringInformation), 0n);
  });

  it('resumes where the hypervisor says', () => {
    const m = exitOf('vmcall\n mov rcx, 7\n cpuid');
    m.set(Field.guestRip, m.field(Field.guestRip) + 3n);
    m.context.mem.set32(L.ACTIVITY, 0);
    assert.deepEqual(m.launch(), { kind: 'fail-valid', error: 4 });
    assert.deepEqual(m.context.vmx.vmresume(), { kind: 'succeed' });
    m.run();
    expectReason(m, ExitReason.Cpuid);
    assert.equal(m.context.cpu.gpr(1), 7n);
  });

  it('leaves guest page faults to the guest', () => {
    const m = exitOf(`mov rax, [${UNMAPPED + 8}]`);
    expectReason(m, ExitReason.Hlt);
    assert.equal(m.report()?.vector, 14);
    assert.equal(m.context.cpu.cr2, BigInt(UNMAPPED + 8));
  });

  it('reports EPT violations with qualification, linear and physical address', () => {
    const m = exitOf('mov eax, 0x400010\n at: mov [rax], rbx', ({ context }) =>
      context.physical.write64(eptEntry(2), 0x400000n | 0xb1n),
    );
    expectReason(m, ExitReason.EptViolation);
    assert.equal(m.field(Field.exitQualification), 0x78an);
    assert.equal(m.field(Field.guestLinearAddress), 0x400010n);
    assert.equal(m.field(Field.guestPhysicalAddress), 0x400010n);
    assert.equal(m.field(Field.guestRip), BigInt(m.symbols.get('at')!));
  });

  it('reports EPT misconfigurations', () => {
    const m = exitOf('mov rax, [0x400010]', ({ context }) => context.physical.write64(eptEntry(2), 0x400000n | 0x82n));
    expectReason(m, ExitReason.EptMisconfiguration);
    assert.equal(m.field(Field.guestPhysicalAddress), 0x400010n);
  });

  it('exits for exceptions that the bitmap names', () => {
    const m = exitOf('at: ud2', ({ set }) => set(Field.exceptionBitmap, 1 << 6));
    expectReason(m, ExitReason.ExceptionOrNmi);
    assert.equal(m.field(Field.exitInterruptionInformation), 0x8000_0306n);
    assert.equal(m.field(Field.guestRip), BigInt(m.symbols.get('at')!));
  });

  it('exits for PAUSE only when told to', () => {
    const exiting = exitOf('at: pause\n hlt', (m) =>
      m.set(Field.primaryControls, m.field(Field.primaryControls) | BigInt(Primary.PauseExiting)),
    );
    expectReason(exiting, ExitReason.Pause);
    assert.equal(exiting.field(Field.guestRip), BigInt(exiting.symbols.get('at')!));
    const plain = exitOf('mov ebx, 1\n pause\n inc ebx\n hlt');
    expectReason(plain, ExitReason.Hlt);
    assert.equal(plain.context.cpu.gpr(3), 2n);
  });

  it('gives INT3 its type and length', () => {
    const m = exitOf('int3', ({ set }) => set(Field.exceptionBitmap, 1 << 3));
    assert.equal(m.field(Field.exitInterruptionInformation), 0x8000_0603n);
    assert.equal(m.field(Field.exitInstructionLength), 1n);
  });

  it('filters page faults by error code', () => {
    const write = (m: VmxMachine): void => {
      m.set(Field.exceptionBitmap, 1 << 14);
      m.set(Field.pageFaultErrorCodeMask, 2);
      m.set(Field.pageFaultErrorCodeMatch, 2);
    };
    const taken = exitOf(`mov [${UNMAPPED}], al`, write);
    expectReason(taken, ExitReason.ExceptionOrNmi);
    assert.equal(taken.field(Field.exitInterruptionInformation), 0x8000_0b0en);
    assert.equal(taken.field(Field.exitInterruptionErrorCode), 2n);
    assert.equal(taken.field(Field.exitQualification), BigInt(UNMAPPED));
    assert.equal(taken.context.cpu.cr2, 0n, 'CR2 is not written by an exit');
    expectReason(exitOf(`mov al, [${UNMAPPED}]`, write), ExitReason.Hlt);
  });

  it('says what was being delivered when an exit interrupts event delivery', () => {
    const m = exitOf(`mov rsp, 0x400800\n int 0x40`, ({ context }) => context.physical.write64(eptEntry(2), 0n));
    expectReason(m, ExitReason.EptViolation);
    assert.equal(m.field(Field.idtVectoringInformation), 0x8000_0440n);
    assert.equal(m.field(Field.exitInstructionLength), 2n);
  });

  it('exits for a triple fault', () => {
    const m = exitOf('ud2', ({ set }) => set(Field.guestIdtrLimit, 0));
    expectReason(m, ExitReason.TripleFault);
  });

  it('injects exceptions with their error code', () => {
    const m = exitOf('nop', ({ set }) => {
      set(Field.entryInterruptionInformation, 0x8000_0b0d);
      set(Field.entryExceptionErrorCode, 0x18);
    });
    assert.deepEqual([m.report()?.vector, m.report()?.errorCode], [13, 0x18]);
    assert.equal(m.field(Field.entryInterruptionInformation) >> 31n, 0n, 'the exit clears the valid bit');
  });

  it('asks the MSR bitmaps', () => {
    const m = exitOf('mov ecx, 0x174\n rdmsr\n mov ecx, 0xc0000100\n at: wrmsr', ({ context }) => {
      context.physical.fill(MSR_BITMAP, 4096, 0);
      context.physical.write32(MSR_BITMAP + 0xc00 + 0x20, 1);
    });
    expectReason(m, ExitReason.Wrmsr);
    assert.equal(m.field(Field.guestRip), BigInt(m.symbols.get('at')!));
    assert.equal(m.context.vmx.msrExits(0x2000, false), true, 'outside both ranges');
  });

  it('loads MSRs at entry, and fails naming the first bad entry', () => {
    const area =
      (second: number) =>
      ({ context, set }: VmxMachine) => {
        context.physical.write32(MSR_AREA, 0xc000_0102);
        context.physical.write64(MSR_AREA + 8, 0x7000n);
        context.physical.write32(MSR_AREA + 16, second);
        set(Field.entryMsrLoadAddress, MSR_AREA);
        set(Field.entryMsrLoadCount, 2);
      };
    const good = exitOf('swapgs\n vmcall', area(0xc000_0103));
    assert.equal(good.field(Field.guestGsBase), 0x7000n);
    const bad = exitOf('vmcall', area(0xc000_0100));
    assert.equal(bad.field(Field.exitReason), 0x8000_0022n);
    assert.equal(bad.field(Field.exitQualification), 2n);
  });

  it('keeps translations apart by VPID, and needs INVEPT to see new EPT entries', () => {
    const m = exitOf('mov al, [0x400010]\n vmcall\n mov bl, [0x400010]\n vmcall', ({ context }) => {
      context.physical.write32(0x400010, 0x11);
      context.physical.write32(0x600010, 0x22);
    });
    const go = (): void => {
      m.set(Field.guestRip, m.field(Field.guestRip) + 3n);
      m.context.mem.set32(L.ACTIVITY, 0);
      assert.deepEqual(m.context.vmx.vmresume(), { kind: 'succeed' });
      m.run();
    };
    m.context.physical.write64(eptEntry(2), 0x600000n | 0xb7n);
    go();
    assert.equal(m.context.cpu.gpr(3) & 0xffn, 0x11n, 'stale');
    m.set(Field.guestRip, BigInt(m.symbols.get('guest')!) - 3n);
    assert.deepEqual(m.context.vmx.invept(1, m.field(Field.eptPointer)), { kind: 'succeed' });
    go();
    assert.equal(m.context.cpu.gpr(0) & 0xffn, 0x22n);
  });

  it('reports exits as events with facts and words, and lets a listener hold them', () => {
    const m = createVmxMachine(`guest: mov rax, [0x400010]\n${HOST}`);
    m.context.physical.write64(eptEntry(2), 0n);
    const seen: string[] = [];
    let hold = true;
    const stop = m.context.events.subscribe(['vm-exit'], (event) => {
      seen.push(`${event.facts.reason as string} ${event.facts.gpa as number}: ${event.summary}`);
      if (!hold) return undefined;
      m.context.engine.requestStop();
      return 'hold';
    });
    m.launch();
    m.context.engine.run(1000);
    assert.equal(m.context.cpu.nonRoot, true, 'held before the exit');
    assert.equal(m.context.cpu.rip, BigInt(m.symbols.get('guest')!));
    hold = false;
    m.run();
    stop();
    expectReason(m, ExitReason.EptViolation);
    assert.equal(seen.length, 1);
    assert.match(
      seen[0]!,
      /^EPT_VIOLATION 4194320: VM exit EPT_VIOLATION \(48\), read, not mapped in the EPT, gva:0x400010/,
    );
  });

  it('delivers posted interrupts through the guest IDT and takes EOI without an exit', () => {
    const m = createVmxMachine(
      `guest: sti\n nop\n mov ecx, 0x80b\n xor eax, eax\n xor edx, edx\n wrmsr\n vmcall\n${HOST}`,
    );
    const { physical } = m.context;
    m.set(Field.pinBasedControls, m.field(Field.pinBasedControls) | BigInt(Pin.ProcessPostedInterrupts));
    m.set(Field.primaryControls, m.field(Field.primaryControls) | BigInt(Primary.TprShadow));
    m.set(
      Field.secondaryControls,
      m.field(Field.secondaryControls) |
        BigInt(Secondary.X2apicMode | Secondary.ApicRegisterVirtualization | Secondary.VirtualInterruptDelivery),
    );
    m.set(Field.virtualApicAddress, VIRTUAL_APIC);
    m.set(Field.postedInterruptDescriptorAddress, DESCRIPTOR);
    m.set(Field.postedInterruptNotificationVector, 0xf2);
    physical.write32(DESCRIPTOR + 8, 1 << 1);
    physical.write32(DESCRIPTOR + 32, 1);
    assert.deepEqual(m.launch(), { kind: 'succeed' });
    const { vmx, mem } = m.context;
    const notification = { kind: 'exception', vector: 0xf2, type: InterruptionType.External } as const;
    assert.equal(vmx.interceptEvent(notification), true, 'no exit, and nothing for the guest');
    assert.equal(vmx.deliverVirtualInterrupt(), false, 'IF is 0');
    assert.equal(m.field(Field.guestInterruptStatus), 0x41n, 'requested');
    mem.set32(L.SYSTEM_FLAGS, 0x200);
    assert.equal(vmx.deliverVirtualInterrupt(), true);
    assert.equal(m.field(Field.guestInterruptStatus), 0x4100n, 'in service');
    assert.equal(physical.read32(VIRTUAL_APIC + 0x100 + 0x20), 2);
    assert.equal(vmx.readVirtualApic(0x812), 2n);
    assert.deepEqual(vmx.writeVirtualApic(0x80b, 0n), {});
    assert.equal(m.field(Field.guestInterruptStatus), 0n);
    assert.equal(vmx.readVirtualApic(0x30), undefined);
  });
});

describe('VMX instructions', () => {
  it('fail as the SDM numbers it', () => {
    const m = createVmxMachine(`guest: nop\n${HOST}`);
    const { vmx, physical } = m.context;
    assert.deepEqual(vmx.vmread(0x6c1e), { kind: 'fail-valid', error: 12 });
    assert.equal(vmx.vmread(Field.instructionError), 12n);
    assert.deepEqual(vmx.vmwrite(Field.exitReason, 5n), { kind: 'succeed' });
    assert.equal(vmx.vmread(Field.exitReason), 5n);
    assert.deepEqual(vmx.vmptrld(0x100000), { kind: 'fail-valid', error: 10 });
    assert.deepEqual(vmx.vmptrld(0x106000), { kind: 'fail-valid', error: 11 });
    assert.deepEqual(vmx.vmptrld(0x106001), { kind: 'fail-valid', error: 9 });
    assert.deepEqual(vmx.vmclear(0x100000), { kind: 'fail-valid', error: 3 });
    assert.deepEqual(vmx.vmresume(), { kind: 'fail-valid', error: 5 });
    assert.deepEqual(vmx.invvpid(1, 0, 0n), { kind: 'fail-valid', error: 28 });
    assert.deepEqual(vmx.invept(0, 0n), { kind: 'fail-valid', error: 28 });
    assert.deepEqual(vmx.vmxon(0x100000), { kind: 'fail-valid', error: 15 });
    assert.deepEqual(vmx.vmclear(VMCS), { kind: 'succeed' });
    assert.deepEqual(vmx.vmlaunch(), { kind: 'fail-invalid' });
    assert.deepEqual(vmx.vmread(0), { kind: 'fail-invalid' });
    assert.equal(physical.read32(VMCS), 0x44554e);
  });

  it('refuse read-only fields on a processor that has them', () => {
    const m = createVmxMachine(`guest: nop\n${HOST}`, cpuModelOf('max,-vmx-vmwrite-any,-vmx-enable-vm-functions'));
    assert.deepEqual(m.context.vmx.vmwrite(Field.exitReason, 0n), { kind: 'fail-valid', error: 13 });
    assert.equal(m.context.vmx.capability(0x491), undefined);
    assert.equal((m.context.vmx.capability(0x48b)! >> 45n) & 1n, 0n);
  });

  it('access the halves of 64-bit fields', () => {
    const m = createVmxMachine(`guest: nop\n${HOST}`);
    m.set(Field.tscOffset, 0x1111_2222_3333_4444n);
    assert.equal(m.context.vmx.vmread(Field.tscOffset + 1), 0x1111_2222n);
    m.set(Field.tscOffset + 1, 5n);
    assert.equal(m.field(Field.tscOffset), 0x5_3333_4444n);
    assert.deepEqual(m.context.vmx.vmread(Field.guestRip + 1), { kind: 'fail-valid', error: 12 });
  });

  it('truncate values to the width of the field', () => {
    const m = createVmxMachine(`guest: nop\n${HOST}`);
    m.set(Field.guestCsSelector, 0x12_3456);
    assert.equal(m.field(Field.guestCsSelector), 0x3456n);
    m.set(Field.guestCsLimit, 0x12_3456_789an);
    assert.equal(m.field(Field.guestCsLimit), 0x3456_789an);
  });
});

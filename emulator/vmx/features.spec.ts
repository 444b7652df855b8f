import assert from 'node:assert/strict';
import * as L from '../cpu/layout.ts';
import { raiseNmi } from '../cpu/system/interrupts.ts';
import { UNMAPPED } from '../cpu/system/system-test-support.ts';
import { VMCS_REVISION } from './capabilities.ts';
import { Entry, Exit, Pin, Primary, Secondary } from './controls.ts';
import { ExitReason, exitReasonName } from './exit-reasons.ts';
import { Field } from './fields.ts';
import { DESCRIPTOR, MSR_AREA, VIRTUAL_APIC, type VmxMachine, createVmxMachine, eptEntry } from './vmx-test-support.ts';

const HOST = '\n host: hlt\n';
const PAGE = 0x106000;
const LEAF = 0xb7n;

type Prepare = (m: VmxMachine) => void;

function set(m: VmxMachine, field: number, bits: number): void {
  m.set(field, m.field(field) | BigInt(bits >>> 0));
}
const pin =
  (bits: number): Prepare =>
  (m) =>
    set(m, Field.pinBasedControls, bits);
const primary =
  (bits: number): Prepare =>
  (m) =>
    set(m, Field.primaryControls, bits);
const secondary =
  (bits: number): Prepare =>
  (m) =>
    set(m, Field.secondaryControls, bits);

function machine(source: string, ...prepare: Prepare[]): VmxMachine {
  const m = createVmxMachine(`guest:\n${source}\n${HOST}`);
  for (const step of prepare) step(m);
  return m;
}
function finish(m: VmxMachine, reason: number): void {
  if (m.context.cpu.nonRoot) m.run();
  assert.equal(m.context.cpu.nonRoot, false, 'the guest did not exit');
  assert.equal(exitReasonName(Number(m.field(Field.exitReason))), exitReasonName(reason));
}
/** Runs the guest to its first exit. */
function exitOf(reason: number, source: string, ...prepare: Prepare[]): VmxMachine {
  const m = machine(source, ...prepare);
  assert.deepEqual(m.launch(), { kind: 'succeed' });
  finish(m, reason);
  return m;
}
/** Goes on at the guest's RIP, `skip` bytes further. */
function resume(m: VmxMachine, reason: number, skip = 0): void {
  m.set(Field.guestRip, m.field(Field.guestRip) + BigInt(skip));
  m.context.mem.set32(L.ACTIVITY, 0);
  assert.deepEqual(m.context.vmx.vmresume(), { kind: 'succeed' });
  finish(m, reason);
}
const at = (m: VmxMachine, label: string): void =>
  assert.equal(m.field(Field.guestRip), BigInt(m.symbols.get(label)!), `RIP at ${label}`);

describe('exits between instructions', () => {
  it('monitor trap flag: after each instruction, and after a delivery', () => {
    const flag = primary(Primary.MonitorTrapFlag);
    const m = exitOf(ExitReason.MonitorTrapFlag, 'nop\n second: mov eax, 5\n third: ud2', flag);
    at(m, 'second');
    resume(m, ExitReason.MonitorTrapFlag);
    at(m, 'third');
    resume(m, ExitReason.MonitorTrapFlag);
    assert.equal(m.field(Field.guestRip), BigInt(m.symbols.get('handlers')! + 6 * 16), 'in the handler of #UD');
    assert.equal(m.field(Field.guestPendingDebugExceptions), 0n);
  });

  it('monitor trap flag: a step of RFLAGS.TF stays pending, an injected one comes at once', () => {
    const m = exitOf(ExitReason.MonitorTrapFlag, 'nop\n second: nop', primary(Primary.MonitorTrapFlag), (v) =>
      v.set(Field.guestRflags, 0x102),
    );
    at(m, 'second');
    assert.equal(m.field(Field.guestPendingDebugExceptions), 0x4000n);
    const injected = exitOf(ExitReason.MonitorTrapFlag, 'first: nop', (v) =>
      v.set(Field.entryInterruptionInformation, 0x8000_0700),
    );
    assert.equal(injected.field(Field.guestRip), BigInt(injected.symbols.get('guest')!));
  });

  it('preemption timer: at its value, also in HLT, and saved', () => {
    const timer: Prepare = (m) => {
      set(m, Field.pinBasedControls, Pin.PreemptionTimer);
      m.set(Field.preemptionTimerValue, 1000);
    };
    const m = exitOf(ExitReason.PreemptionTimerExpired, 'l: inc rax\n jmp l', timer);
    assert.ok(m.context.cpu.gpr(0) >= 100n && m.context.cpu.gpr(0) <= 500n, `${m.context.cpu.gpr(0)} rounds`);
    const halted = machine('hlt', timer);
    halted.set(Field.primaryControls, halted.field(Field.primaryControls) & ~BigInt(Primary.HltExiting));
    halted.launch();
    finish(halted, ExitReason.PreemptionTimerExpired);
    assert.equal(halted.field(Field.guestActivity), 1n);
    const saved = exitOf(ExitReason.Vmcall, 'nop\n vmcall', timer, (v) =>
      set(v, Field.exitControls, Exit.SavePreemptionTimer),
    );
    assert.ok(saved.field(Field.preemptionTimerValue) < 1000n && saved.field(Field.preemptionTimerValue) > 0n);
    exitOf(ExitReason.PreemptionTimerExpired, 'nop', timer, (v) => v.set(Field.preemptionTimerValue, 0));
  });

  it('interrupt window: when IF is set and nothing blocks', () => {
    const m = exitOf(
      ExitReason.InterruptWindow,
      'sti\n nop\n open: nop\n hlt',
      primary(Primary.InterruptWindowExiting),
    );
    at(m, 'open');
  });

  it('NMI window, virtual NMIs, and NMIs', () => {
    const window = primary(Primary.NmiWindowExiting);
    const blocked: Prepare = (m) => m.set(Field.guestInterruptibility, 8);
    const source =
      'push 0x18\n push 0x4ff00\n push 2\n push 0x10\n lea rax, [rip + open]\n push rax\n iretq\n open: nop';
    const m = exitOf(ExitReason.NmiWindow, source, window, blocked);
    at(m, 'open');
    assert.equal(m.field(Field.guestInterruptibility), 0n, 'IRET unblocks virtual NMIs');
    const nmi = machine('nop\n l: jmp l', blocked);
    raiseNmi(nmi.context);
    nmi.launch();
    finish(nmi, ExitReason.ExceptionOrNmi);
    assert.equal(nmi.field(Field.exitInterruptionInformation), 0x8000_0202n);
    assert.equal(nmi.context.mem.get32(L.INTERRUPTIBILITY), 8, 'the host blocks NMIs now');
  });

  it('tells that IRET had unblocked NMIs when it faults', () => {
    const m = exitOf(
      ExitReason.ExceptionOrNmi,
      'push 0x18\n push 0x4ff00\n push 2\n push 0x50\n push 0\n at: iretq',
      (v) => {
        v.set(Field.guestInterruptibility, 8);
        v.set(Field.exceptionBitmap, 1 << 13);
      },
    );
    assert.equal(m.field(Field.exitInterruptionInformation), 0x8000_1b0dn);
    at(m, 'at');
  });
});

describe('controls over instructions', () => {
  it('PAUSE loops', () => {
    const m = exitOf(ExitReason.Pause, 'l: pause\n inc eax\n jmp l', secondary(Secondary.PauseLoopExiting), (v) => {
      v.set(Field.pleGap, 100);
      v.set(Field.pleWindow, 300);
    });
    assert.ok(m.context.cpu.gpr(0) >= 95n, 'the window passes first');
  });

  it('RDRAND, RDSEED, WBINVD, INVPCID, descriptor tables', () => {
    const cases: readonly (readonly [source: string, reason: number, control: Prepare, information?: number])[] = [
      ['rdrand ecx', ExitReason.Rdrand, secondary(Secondary.RdrandExiting), (1 << 3) | (1 << 11)],
      ['rdseed rdx', ExitReason.Rdseed, secondary(Secondary.RdseedExiting), (2 << 3) | (2 << 11)],
      ['wbinvd', ExitReason.Wbinvd, secondary(Secondary.WbinvdExiting)],
      ['sgdt [rbx + 8]', ExitReason.GdtrIdtrAccess, secondary(Secondary.DescriptorTableExiting)],
      ['str ax', ExitReason.LdtrTrAccess, secondary(Secondary.DescriptorTableExiting)],
      ['invlpg [rax]', ExitReason.Invlpg, primary(Primary.InvlpgExiting)],
      ['rdtsc', ExitReason.Rdtsc, primary(Primary.RdtscExiting)],
      ['rdpmc', ExitReason.Rdpmc, primary(Primary.RdpmcExiting)],
      ['mov rax, dr0', ExitReason.MovDr, primary(Primary.MovDrExiting)],
      ['in al, 0x80', ExitReason.IoInstruction, primary(Primary.UnconditionalIoExiting)],
      ['mov cr3, rax', ExitReason.CrAccess, primary(Primary.Cr3LoadExiting)],
      ['mov rax, cr3', ExitReason.CrAccess, primary(Primary.Cr3StoreExiting)],
      ['mov cr8, rax', ExitReason.CrAccess, primary(Primary.Cr8LoadExiting)],
      ['xor eax, eax\n monitor', ExitReason.Monitor, primary(Primary.MonitorExiting)],
      ['xor ecx, ecx\n mwait', ExitReason.Mwait, primary(Primary.MwaitExiting)],
    ];
    for (const [source, reason, control, information] of cases) {
      const m = exitOf(reason, source, control);
      if (information !== undefined)
        assert.equal(m.field(Field.exitInstructionInformation), BigInt(information), source);
      exitOf(ExitReason.Vmcall, 'vmcall', control);
    }
  });

  it('the time-stamp counter is scaled, then offset', () => {
    const m = exitOf(
      ExitReason.Vmcall,
      'rdtsc\n vmcall',
      primary(Primary.TscOffsetting),
      secondary(Secondary.TscScaling),
      (v) => {
        v.set(Field.tscMultiplier, 1n << 40n);
        v.set(Field.tscOffset, 1n << 40n);
        v.context.mem.set64(L.MSR_TSC_ADJUST, 1n << 44n);
      },
    );
    const tsc = (m.context.cpu.gpr(2) << 32n) | m.context.cpu.gpr(0);
    assert.equal(tsc >> 36n, 17n);
    assert.equal((tsc - (1n << 40n)) >> 20n, (1n << 36n) >> 20n);
  });

  it('VM functions switch EPTs, and exit for what is not in the list', () => {
    const enable: Prepare = (m) => {
      set(m, Field.secondaryControls, Secondary.VmFunctions | Secondary.EptViolationException);
      m.set(Field.vmFunctionControls, 1);
      m.set(Field.eptpListAddress, PAGE);
      m.set(Field.virtualizationExceptionAddress, DESCRIPTOR);
      m.context.physical.write64(PAGE + 8, m.field(Field.eptPointer) | 0x40n);
      m.context.physical.write64(PAGE + 16, 7n);
    };
    const m = exitOf(ExitReason.Vmcall, 'xor eax, eax\n mov ecx, 1\n vmfunc\n vmcall', enable);
    assert.equal(m.field(Field.eptPointer) & 0x40n, 0x40n);
    assert.equal(m.field(Field.eptpIndex), 1n);
    exitOf(ExitReason.Vmfunc, 'xor eax, eax\n mov ecx, 2\n vmfunc', enable);
    exitOf(ExitReason.Vmfunc, 'mov eax, 1\n vmfunc', enable);
    const none = exitOf(ExitReason.Hlt, 'xor eax, eax\n vmfunc');
    assert.equal(none.report()?.vector, 6);
  });

  it('VMCS shadowing', () => {
    const SHADOW = 0x107000;
    const enable: Prepare = (m) => {
      set(m, Field.secondaryControls, Secondary.VmcsShadowing);
      m.set(Field.vmreadBitmap, PAGE);
      m.set(Field.vmwriteBitmap, PAGE);
      m.set(Field.vmcsLinkPointer, SHADOW);
      m.context.physical.write32(SHADOW, VMCS_REVISION + 0x8000_0000);
      m.context.physical.write(PAGE + (Field.guestRsp >> 3), Uint8Array.of(1 << (Field.guestRsp & 7)));
    };
    const source = `mov eax, ${Field.guestRip}\n mov ebx, 0x1234\n vmwrite rax, rbx\n vmread rdx, rax\n vmcall`;
    const m = exitOf(ExitReason.Vmcall, source, enable);
    assert.equal(m.context.cpu.gpr(2), 0x1234n);
    const exits = exitOf(ExitReason.Vmread, `mov eax, ${Field.guestRsp}\n vmread rdx, rax`, enable);
    assert.equal(exits.field(Field.exitInstructionInformation), 0x410n | ((2n << 3n) & 0x10n));
    exitOf(ExitReason.Vmwrite, 'mov eax, 0x8000\n vmwrite rax, rbx', enable);
    const { vmx } = m.context;
    assert.deepEqual(vmx.vmptrld(SHADOW), { kind: 'succeed' });
    assert.deepEqual(vmx.vmlaunch(), { kind: 'fail-invalid' }, 'a shadow VMCS is for no entry');
  });

  it('XSAVES needs its control', () => {
    const source = 'mov eax, 3\n xor edx, edx\n mov ebx, 0x58000\n xsaves [rbx]\n vmcall';
    exitOf(ExitReason.Vmcall, source, secondary(Secondary.Xsaves));
    assert.equal(exitOf(ExitReason.Hlt, source).report()?.vector, 6);
  });

  it('unrestricted guests run in real mode', () => {
    exitOf(ExitReason.Vmcall, '.byte 0xb8, 0x34, 0x12\n vmcall', secondary(Secondary.UnrestrictedGuest), (m) => {
      m.set(Field.guestCr0, m.field(Field.guestCr0) & ~0x8000_0001n);
      m.set(Field.guestCr4, m.field(Field.guestCr4) & ~0x2_0000n);
      m.set(Field.entryControls, m.field(Field.entryControls) & ~BigInt(Entry.Ia32eGuest));
      for (const name of ['Es', 'Ss', 'Ds', 'Fs', 'Gs'] as const) {
        m.set(Field[`guest${name}Selector`], 0);
        m.set(Field[`guest${name}Limit`], 0xffff);
        m.set(Field[`guest${name}AccessRights`], 0x93);
      }
      m.set(Field.guestCsSelector, 0x1000);
      m.set(Field.guestCsBase, 0x10000);
      m.set(Field.guestCsLimit, 0xffff);
      m.set(Field.guestCsAccessRights, 0x93);
      m.set(Field.guestRip, m.field(Field.guestRip) - 0x10000n);
    });
  });
});

describe('EPT features', () => {
  const access = `mov eax, 0x400010\n mov [rax], ebx\n vmcall`;

  it('page-modification log', () => {
    const log: Prepare = (m) => {
      set(m, Field.secondaryControls, Secondary.PageModificationLog);
      set(m, Field.eptPointer, 0x40);
      m.set(Field.pmlAddress, PAGE);
      m.set(Field.pmlIndex, 511);
    };
    const m = exitOf(ExitReason.Vmcall, access, log);
    const index = Number(m.field(Field.pmlIndex));
    const logged = Array.from({ length: 511 - index }, (_, n) => m.context.physical.read64(PAGE + (511 - n) * 8));
    assert.ok(logged.includes(0x400000n), 'the page written to');
    const full = exitOf(ExitReason.PageModificationLogFull, access, log, (v) => v.set(Field.pmlIndex, 0xffff));
    assert.equal(full.field(Field.guestRip), BigInt(full.symbols.get('guest')!));
  });

  it('violations become #VE once', () => {
    const enable: Prepare = (m) => {
      set(m, Field.secondaryControls, Secondary.EptViolationException);
      m.set(Field.virtualizationExceptionAddress, PAGE);
      m.context.physical.write64(eptEntry(2), 0n);
    };
    const m = exitOf(ExitReason.Hlt, access, enable);
    assert.equal(m.report()?.vector, 20);
    const { physical } = m.context;
    assert.deepEqual([physical.read32(PAGE), physical.read32(PAGE + 4)], [48, 0xffff_ffff]);
    assert.deepEqual([physical.read64(PAGE + 16), physical.read64(PAGE + 24)], [0x400010n, 0x400010n]);
    exitOf(ExitReason.EptViolation, access, enable, (v) => v.context.physical.write32(PAGE + 4, 1));
    exitOf(ExitReason.EptViolation, access, enable, (v) => v.context.physical.write64(eptEntry(2), 1n << 63n));
    exitOf(ExitReason.ExceptionOrNmi, access, enable, (v) => v.set(Field.exceptionBitmap, 1 << 20));
  });

  it('mode-based execute control', () => {
    const jump = 'mov eax, 0x400000\n jmp rax';
    const code: Prepare = (m) => {
      set(m, Field.secondaryControls, Secondary.ModeBasedExecute);
      m.context.physical.write(0x400000, Uint8Array.of(0x0f, 0x01, 0xc1));
      // The spec's pages are user pages.
      for (let page = 0; page < 8; page++)
        m.context.physical.write64(eptEntry(page), m.context.physical.read64(eptEntry(page)) | 0x400n);
      for (const table of [0x110000, 0x111000])
        m.context.physical.write64(table, m.context.physical.read64(table) | 0x400n);
    };
    exitOf(ExitReason.Vmcall, jump, code);
    const m = exitOf(ExitReason.EptViolation, jump, code, (v) =>
      v.context.physical.write64(eptEntry(2), 0x400000n | LEAF),
    );
    assert.equal(
      m.field(Field.exitQualification) & 0x7fn,
      0x3cn,
      'fetch; RWX for supervisor pages, not for user pages',
    );
  });

  it('sub-page write permissions', () => {
    const TABLE = 0x120000;
    const enable: Prepare = (m) => {
      const { physical } = m.context;
      set(m, Field.secondaryControls, Secondary.SubPageWritePermissions);
      m.set(Field.sppTablePointer, TABLE);
      for (let level = 0; level < 3; level++)
        physical.write64(TABLE + level * 4096 + (level === 2 ? 2 * 8 : 0), BigInt(TABLE + (level + 1) * 4096) | 1n);
      physical.write64(TABLE + 3 * 4096, 1n);
      physical.write64(eptEntry(2), BigInt(TABLE + 0x4000) | 7n);
      physical.write64(TABLE + 0x4000, 0x400000n | 0x35n | (1n << 61n));
    };
    exitOf(ExitReason.Vmcall, access, enable);
    exitOf(ExitReason.EptViolation, 'mov eax, 0x400090\n mov [rax], ebx', enable);
    const miss = exitOf(ExitReason.SubPageEvent, access, enable, (v) => v.context.physical.write64(TABLE, 0n));
    assert.equal(miss.field(Field.exitQualification), 0x980n);
  });
});

describe('APIC virtualization', () => {
  const page: Prepare = (m) => {
    set(m, Field.secondaryControls, Secondary.ApicAccesses);
    set(m, Field.primaryControls, Primary.TprShadow);
    m.set(Field.virtualApicAddress, VIRTUAL_APIC);
    m.set(Field.apicAccessAddress, 0x400000);
    // The page has to be one of 4 KB.
    m.context.physical.write64(eptEntry(2), BigInt(MSR_AREA) | 7n);
    m.context.physical.write64(MSR_AREA, 0x400037n);
  };

  it('APIC-access page: TPR, and exits for the rest', () => {
    const tpr = 'mov eax, 0x400080\n mov dword ptr [rax], 0x50\n mov ecx, [rax]\n vmcall';
    const m = exitOf(ExitReason.Vmcall, tpr, page);
    assert.equal(m.context.cpu.gpr(1), 0x50n);
    assert.equal(m.context.physical.read32(VIRTUAL_APIC + 0x80), 0x50);
    assert.equal(m.context.physical.read32(0x400080), 0, 'nothing reaches the page itself');
    const read = exitOf(ExitReason.ApicAccess, 'mov eax, [0x400020]', page);
    assert.equal(read.field(Field.exitQualification), 0x20n);
    const write = exitOf(ExitReason.ApicAccess, 'mov dword ptr [0x4000b0], 0', page);
    assert.equal(write.field(Field.exitQualification), 0x10b0n);
    const below = exitOf(
      ExitReason.TprBelowThreshold,
      'mov eax, 0x400080\n mov dword ptr [rax], 0x10\n after: nop',
      page,
      (v) => {
        v.set(Field.tprThreshold, 3);
        v.context.physical.write32(VIRTUAL_APIC + 0x80, 0x50);
      },
    );
    at(below, 'after');
  });

  it('APIC-register virtualization: reads, and exits behind writes', () => {
    const registers: Prepare = (m) => set(m, Field.secondaryControls, Secondary.ApicRegisterVirtualization);
    const id: Prepare = (m) => m.context.physical.write32(VIRTUAL_APIC + 0x20, 0x700);
    const m = exitOf(ExitReason.Vmcall, 'mov eax, [0x400020]\n vmcall', page, registers, id);
    assert.equal(m.context.cpu.gpr(0), 0x700n);
    const write = exitOf(
      ExitReason.ApicWrite,
      'mov eax, 0x4000f0\n mov dword ptr [rax], 0x1ff\n after: nop',
      page,
      registers,
    );
    at(write, 'after');
    assert.equal(write.field(Field.exitQualification), 0xf0n);
    assert.equal(write.context.physical.read32(VIRTUAL_APIC + 0xf0), 0x1ff);
  });

  it('virtual-interrupt delivery: self-IPI by ICR, EOI with its bitmap', () => {
    const m = exitOf(
      ExitReason.Hlt,
      'sti\n mov dword ptr [0x400300], 0x40041\n nop\n vmcall',
      page,
      secondary(Secondary.VirtualInterruptDelivery),
      pin(Pin.ExternalInterruptExiting),
    );
    assert.equal(m.report()?.vector, 0x41);
    assert.equal(m.field(Field.guestInterruptStatus), 0x4100n);
    const eoi = exitOf(
      ExitReason.VirtualizedEoi,
      'mov dword ptr [0x4000b0], 0',
      page,
      secondary(Secondary.VirtualInterruptDelivery),
      (v) => {
        v.set(Field.guestInterruptStatus, 0x4100);
        v.set(Field.eoiExitBitmap1, 2);
      },
    );
    assert.equal(eoi.field(Field.exitQualification), 0x41n);
  });
});

describe('entry to inactive states', () => {
  it('a page fault in an unmapped page of the guest stays the guest’s', () => {
    assert.equal(exitOf(ExitReason.Hlt, `mov al, [${UNMAPPED}]`).report()?.vector, 14);
  });

  it('HLT ends with an injected interrupt; shutdown stays', () => {
    const m = machine('nop\n vmcall', (v) => {
      v.set(Field.guestActivity, 1);
      v.set(Field.guestRflags, 0x202);
      v.set(Field.entryInterruptionInformation, 0x8000_0040);
    });
    m.launch();
    finish(m, ExitReason.Hlt);
    assert.equal(m.report()?.vector, 0x40);
    const down = machine('vmcall', (v) => v.set(Field.guestActivity, 2));
    down.launch();
    down.run();
    assert.equal(down.context.cpu.nonRoot, true);
  });
});

import assert from 'node:assert/strict';
import { Pin, Primary, Secondary } from '../../vmx/controls.ts';
import { ExitReason } from '../../vmx/exit-reasons.ts';
import { Field } from '../../vmx/fields.ts';
import type { FieldName } from '../../vmx/fields.ts';
import { InterruptionType } from '../engine-api.ts';
import type { EngineHooks } from '../engine-parts.ts';
import type { ExecutionEngine } from '../engine.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import { raiseNmi } from './interrupts.ts';
import { STACK, UNMAPPED, createTestMachine } from './system-test-support.ts';
import type { TestMachine } from './system-test-support.ts';

const VMXON_REGION = 0xe00000;
const VMCS_REGION = 0xe01000;
const MSR_BITMAP = 0xe02000;
/** EPT: PML4, PDPT, PD with 2 MB pages. */
const EPT = 0xe10000;
const SEGMENTS = ['Es', 'Cs', 'Ss', 'Ds', 'Fs', 'Gs', 'Ldtr', 'Tr'] as const;

interface Guest extends TestMachine {
  field(name: FieldName): bigint;
  number(name: FieldName): number;
}

/**
 * Runs `source` as a guest in ring 0 until its first VM exit, which ends at a HLT of the host. The guest starts with the registers of the
 * test machine; `adjust` may change fields and memory before the entry.
 */
function runGuest(source: string, adjust: (guest: Guest) => void = () => {}): Guest {
  const machine = createTestMachine(`vmlaunch\n ud2\n host: hlt\n guest: ${source}`);
  const { context, symbols } = machine;
  const { vmx, physical, mem, cpu } = context;
  const revision = Number(vmx.capability(0x480)! & 0x7fffffffn);
  for (const region of [VMXON_REGION, VMCS_REGION]) physical.write32(region, revision);
  mem.set64(L.CR0, 0x80050033n);
  for (const status of [vmx.vmxon(VMXON_REGION), vmx.vmclear(VMCS_REGION), vmx.vmptrld(VMCS_REGION)]) {
    assert.equal(status.kind, 'succeed');
  }
  const set = (name: FieldName, value: bigint | number): void => {
    assert.deepEqual(vmx.vmwrite(Field[name], BigInt(value)), { kind: 'succeed' }, name);
  };
  const controls = (name: FieldName, capability: number, wanted: number): void => {
    const allowed = vmx.capability(capability)!;
    set(name, ((wanted & Number(allowed >> 32n)) | Number(allowed & 0xffffffffn)) >>> 0);
  };
  controls('pinBasedControls', 0x481, Pin.NmiExiting);
  controls('primaryControls', 0x48e, Primary.MsrBitmaps | Primary.MovDrExiting | Primary.SecondaryControls);
  controls('secondaryControls', 0x48b, Secondary.Ept | Secondary.Vpid | Secondary.WbinvdExiting | Secondary.Rdtscp);
  controls('exitControls', 0x48f, 1 << 9);
  controls('entryControls', 0x490, 1 << 9);
  set('msrBitmaps', MSR_BITMAP);
  set('vpid', 1);
  set('eptPointer', EPT | 0x1e);
  physical.write64(EPT, BigInt(EPT + 0x1000) | 7n);
  physical.write64(EPT + 0x1000, BigInt(EPT + 0x2000) | 7n);
  for (let page = 0; page < 8; page++) physical.write64(EPT + 0x2000 + page * 8, BigInt(page * 0x200000) | 0xb7n);
  set('cr0Mask', 0xffff_ffffn);
  set('cr0Shadow', cpu.cr0);
  set('exceptionBitmap', 1 << 3);
  set('vmcsLinkPointer', 0xffff_ffff_ffff_ffffn);
  SEGMENTS.forEach((name, index) => {
    const { selector, base, limit, rights } = cpu.segment(index as Segment);
    set(`guest${name}Selector`, selector);
    set(`guest${name}Base`, base);
    set(`guest${name}Limit`, limit);
    set(`guest${name}AccessRights`, rights);
  });
  for (const who of ['guest', 'host'] as const) {
    set(`${who}Cr0`, cpu.cr0);
    set(`${who}Cr3`, cpu.cr3);
    set(`${who}Cr4`, cpu.cr4 | 0x2000n);
    set(`${who}Rsp`, STACK);
    set(`${who}Rip`, symbols.get(who)!);
    set(`${who}GdtrBase`, mem.get64(L.GDTR_BASE));
    set(`${who}IdtrBase`, mem.get64(L.IDTR_BASE));
  }
  set('guestGdtrLimit', 0x7f);
  set('guestIdtrLimit', 0xfff);
  set('guestRflags', 2);
  set('guestDr7', 0x400);
  set('hostCsSelector', 0x10);
  set('hostSsSelector', 0x18);
  set('hostTrSelector', 0x38);
  set('hostTrBase', 0x3000);
  const guest: Guest = {
    ...machine,
    field: (name) => vmx.field(Field[name]),
    number: (name) => Number(vmx.field(Field[name])),
  };
  adjust(guest);
  assert.deepEqual(vmx.violatedChecks(), []);
  machine.run();
  assert.equal(context.cpu.nonRoot, false);
  assert.equal(guest.report(), undefined, 'the guest or host took an exception');
  assert.equal(context.cpu.rip, BigInt(symbols.get('host')! + 1));
  return guest;
}

describe('a guest in VMX non-root operation', () => {
  const exits: readonly (readonly [string, string, number, bigint, number])[] = [
    ['CPUID', 'cpuid', ExitReason.Cpuid, 0n, 2],
    ['VMCALL', 'vmcall', ExitReason.Vmcall, 0n, 3],
    ['INVD', 'invd', ExitReason.Invd, 0n, 2],
    ['WBINVD', 'wbinvd', ExitReason.Wbinvd, 0n, 2],
    ['RDMSR by the bitmap', 'mov ecx, 0xc0000082\n rdmsr', ExitReason.Rdmsr, 0n, 2],
    ['RDMSR outside the bitmap', 'mov ecx, 0x40000000\n rdmsr', ExitReason.Rdmsr, 0n, 2],
    ['WRMSR by the bitmap', 'mov ecx, 0xc0000082\n wrmsr', ExitReason.Wrmsr, 0n, 2],
    [
      'MOV to CR0 that changes a host-owned bit',
      'mov rbx, cr0\n btr rbx, 16\n mov cr0, rbx',
      ExitReason.CrAccess,
      0x300n,
      3,
    ],
    ['MOV to a debug register', 'mov dr7, r9', ExitReason.MovDr, 0x907n, 4],
    ['MOV from a debug register', 'mov rdi, dr6', ExitReason.MovDr, 0x716n, 3],
    ['VMREAD', 'vmread rax, rbx', ExitReason.Vmread, 0n, 3],
    ['VMPTRLD', 'vmptrld [rax + 0x40]', ExitReason.Vmptrld, 0x40n, 4],
    ['VMLAUNCH', 'vmlaunch', ExitReason.Vmlaunch, 0n, 3],
    ['INVEPT', 'invept rcx, [rsp + 8]', ExitReason.Invept, 8n, 7],
  ];
  for (const [name, source, reason, qualification, length] of exits) {
    it(`exits by ${name}`, () => {
      const guest = runGuest(source, ({ context }) => context.physical.fill(MSR_BITMAP, 4096, 0xff));
      assert.deepEqual(
        [guest.number('exitReason'), guest.field('exitQualification'), guest.number('exitInstructionLength')],
        [reason, qualification, length],
      );
    });
  }

  it('does not exit for MOV to CR0 of the same value, CR3, CR8, INVLPG, RDTSC, CLTS or a passed MSR', () => {
    const guest = runGuest(
      `mov rax, cr0\n mov cr0, rax\n mov rax, cr3\n mov cr3, rax\n xor eax, eax\n mov cr8, rax\n invlpg [rsp]\n rdtscp\n clts
       mov ecx, 0xc0000100\n mov eax, 0x1234\n xor edx, edx\n wrmsr\n rdfsbase rbx\n vmcall`,
    );
    assert.equal(guest.number('exitReason'), ExitReason.Vmcall);
    assert.equal(guest.field('guestFsBase'), 0x1234n);
    assert.equal(guest.context.cpu.gpr(3), 0x1234n);
  });

  it('reads CR0 through the shadow', () => {
    const guest = runGuest('mov rbx, cr0\n vmcall', ({ context }) => {
      context.vmx.setField(Field.cr0Shadow, 0x8005003bn);
    });
    assert.equal(guest.context.cpu.gpr(3), 0x8005003bn);
  });

  it('exits by INT3 on the instruction, with its length and type', () => {
    const guest = runGuest('nop\n here: int3');
    assert.equal(guest.number('exitReason'), ExitReason.ExceptionOrNmi);
    assert.equal(guest.number('exitInterruptionInformation'), 0x80000603);
    assert.equal(guest.number('guestRip'), guest.symbols.get('here'));
    assert.equal(guest.number('exitInstructionLength'), 1);
  });

  it('handles its own page fault without an exit', () => {
    const guest = runGuest(`mov eax, ${UNMAPPED}\n mov rbx, [rax]`, ({ gate, symbols, context }) => {
      gate(14, {});
      context.physical.write(symbols.get('handlers')! + 14 * 16, Uint8Array.of(0x0f, 0x01, 0xc1));
    });
    assert.equal(guest.number('exitReason'), ExitReason.Vmcall);
    assert.equal(guest.context.cpu.cr2, BigInt(UNMAPPED));
    assert.equal(guest.number('guestRsp'), STACK - 48);
  });

  it('ends a triple fault with reason 2 and the three faults on record', () => {
    const guest = runGuest('ud2', ({ context }) => context.vmx.setField(Field.guestIdtrLimit, 0n));
    assert.equal(guest.number('exitReason'), ExitReason.TripleFault);
    assert.equal(guest.number('idtVectoringInformation'), 0);
    const vectors = guest.context.faultChain.map(({ fault }) => (fault.kind === 'exception' ? fault.vector : -1));
    assert.deepEqual(vectors, [6, 13, 13, 8, 13].slice(0, vectors.length));
    assert.equal(guest.context.faultChain[0]!.failed, 'IDT limit 0x0: vector 6 is outside');
  });

  it('reports an EPT violation during delivery with the event in the IDT-vectoring information', () => {
    const guest = runGuest('mov esp, 0x500000\n fault: ud2', ({ context }) => {
      context.physical.write64(EPT + 0x2000 + 2 * 8, 0n);
    });
    assert.equal(guest.number('exitReason'), ExitReason.EptViolation);
    assert.equal(guest.number('idtVectoringInformation'), 0x80000306);
    assert.equal(guest.number('guestPhysicalAddress'), 0x4ffff8);
    assert.equal(guest.number('guestRip'), guest.symbols.get('fault'));
    assert.equal(guest.number('guestRsp'), 0x500000);
    assert.equal(
      guest.context.faultChain[0]!.failed,
      'pushing the frame below 0x500000: EPT violation at GPA 0x4ffff8',
    );
  });

  it('tells of a system call from its ring 3', () => {
    const seen: string[] = [];
    const guest = runGuest(
      `push 0x2b\n push 0x78000\n push 2\n push 0x33\n push offset user\n iretq\n user: mov eax, 39\n syscall`,
      ({ context, symbols }) => {
        context.mem.set64(L.MSR_LSTAR, BigInt(symbols.get('handlers')!));
        context.physical.write(symbols.get('handlers')!, Uint8Array.of(0x0f, 0x01, 0xc1));
        const stop = context.events.subscribe(['trapped-syscall', 'ring-change'], (event) => {
          seen.push(
            event.kind === 'ring-change' ? `${event.facts.old}>${event.facts.new}` : `syscall ${event.facts.number}`,
          );
          if (seen.length === 3) stop();
        });
      },
    );
    assert.deepEqual(seen, ['0>3', 'syscall 39', '3>0']);
    assert.equal(guest.number('exitReason'), ExitReason.Vmcall);
  });
});

describe('between the parts of a repeated string instruction', () => {
  const RF = 0x10000n;
  const LONG = 'mov esi, 0x200000\n mov ecx, 0x80000\n';
  /** What comes during the first part. */
  const duringIt =
    (arrive: (guest: Guest, hooks: EngineHooks) => void) =>
    (guest: Guest): void => {
      const { hooks } = guest.context.engine as ExecutionEngine;
      const kept = { ...hooks };
      Object.assign(hooks, {
        timePassed(cycles: number) {
          Object.assign(hooks, kept);
          kept.timePassed(cycles);
          arrive(guest, hooks);
        },
      });
    };
  const withPins = ({ context }: Guest, pins: number): void => {
    const { vmx } = context;
    vmx.vmwrite(Field.pinBasedControls, vmx.field(Field.pinBasedControls) | BigInt(pins));
  };
  const sources: readonly (readonly [string, string, number, (guest: Guest) => void])[] = [
    [
      'the VMX-preemption timer',
      `${LONG} rep lodsb`,
      ExitReason.PreemptionTimerExpired,
      (guest) => {
        withPins(guest, Pin.PreemptionTimer);
        guest.context.vmx.vmwrite(Field.preemptionTimerValue, 1000n);
      },
    ],
    ['an NMI', `${LONG} rep lodsb`, ExitReason.ExceptionOrNmi, duringIt(({ context }) => raiseNmi(context))],
    [
      'an external interrupt',
      `${LONG} rep lodsb`,
      ExitReason.ExternalInterrupt,
      (guest) => {
        withPins(guest, Pin.ExternalInterruptExiting);
        duringIt((_, hooks) => {
          const { pendingInterrupt } = hooks;
          hooks.pendingInterrupt = () => {
            hooks.pendingInterrupt = pendingInterrupt;
            return { kind: 'exception', vector: 0x41, type: InterruptionType.External };
          };
        })(guest);
      },
    ],
    [
      'an interrupt window behind STI',
      `${LONG} sti\n rep lodsb`,
      ExitReason.InterruptWindow,
      ({ context: { vmx } }) => {
        const controls = vmx.field(Field.primaryControls);
        vmx.vmwrite(Field.primaryControls, controls | BigInt(Primary.InterruptWindowExiting));
      },
    ],
  ];
  for (const [name, source, reason, adjust] of sources)
    it(`${name} exits, with RF set in the guest's RFLAGS`, () => {
      const guest = runGuest(source, adjust);
      assert.equal(guest.number('exitReason'), reason);
      const { cpu } = guest.context;
      assert.ok(cpu.gpr(1) > 0n && cpu.gpr(1) < 0x80000n);
      assert.equal(cpu.gpr(1) & 0xffffn, 0n);
      assert.equal(cpu.gpr(6), 0x280000n - cpu.gpr(1));
      assert.equal(guest.field('guestRflags') & RF, RF);
      assert.deepEqual([...guest.context.physical.slice(guest.number('guestRip'), 2)], [0xf3, 0xac]);
    });
});

describe('a 32-bit guest', () => {
  const PDPT = 0xe20000;
  const CODE_32 = 0x68;
  const TASK = 0x70;
  /** Protected mode with PAE paging over the same page directory. */
  function run32(source: string, adjust: (guest: Guest) => void = () => {}): Guest {
    return runGuest(`.code32\n ${source}\n .code64`, (guest) => {
      const { vmx, physical, mem } = guest.context;
      const set = (name: FieldName, value: bigint | number): void => {
        assert.deepEqual(vmx.vmwrite(Field[name], BigInt(value)), { kind: 'succeed' }, name);
      };
      set('entryControls', Number(vmx.field(Field.entryControls)) & ~(1 << 9));
      physical.write64(PDPT, 0xf02001n);
      set('guestCr4', vmx.field(Field.guestCr4) & ~0x20000n);
      set('guestCr3', PDPT);
      set('guestPdpte0', 0xf02001n);
      for (const name of ['guestPdpte1', 'guestPdpte2', 'guestPdpte3'] as const) set(name, 0n);
      set('guestCsAccessRights', 0xc09b);
      set('guestCsSelector', CODE_32);
      set('guestIdtrLimit', 0x7ff);
      const gdt = Number(mem.get64(L.GDTR_BASE));
      physical.write64(gdt + CODE_32, 0x00cf_9b00_0000_ffffn);
      physical.write64(gdt + TASK, 0x0000_8900_4000_0067n);
      adjust(guest);
    });
  }

  it('runs in protected mode with PAE paging', () => {
    const guest = run32('mov eax, 0xffffffff\n inc eax\n mov ebx, cs\n push ebx\n pop ecx\n vmcall');
    assert.equal(guest.number('exitReason'), ExitReason.Vmcall);
    assert.deepEqual([guest.context.cpu.gpr(0), guest.context.cpu.gpr(1)], [0n, BigInt(CODE_32)]);
  });

  it('exits by a task switch, with the cause in the qualification', () => {
    const jump = run32(`here: ljmp ${TASK}, 0`);
    assert.deepEqual(
      [jump.number('exitReason'), jump.field('exitQualification'), jump.number('exitInstructionLength')],
      [ExitReason.TaskSwitch, BigInt(TASK) | (2n << 30n), 7],
    );
    assert.equal(jump.number('guestRip'), jump.symbols.get('here'));
    const call = run32(`lcall ${TASK}, 0`);
    assert.equal(call.field('exitQualification'), BigInt(TASK));
  });

  it('exits by a task gate of its IDT, with the event in the IDT-vectoring information', () => {
    const guest = run32('ud2', ({ context }) => {
      const idt = Number(context.mem.get64(L.IDTR_BASE));
      context.physical.write64(idt + 6 * 8, (BigInt(TASK) << 16n) | (0x85n << 40n));
    });
    assert.deepEqual(
      [guest.number('exitReason'), guest.field('exitQualification'), guest.number('idtVectoringInformation')],
      [ExitReason.TaskSwitch, BigInt(TASK) | (3n << 30n), 0x80000306],
    );
  });
});

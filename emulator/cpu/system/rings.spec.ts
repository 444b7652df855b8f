import assert from 'node:assert/strict';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import { CODE, GDT, RSP0, STACK, TSS, USER_STACK, createTestMachine } from './system-test-support.ts';
import type { TestMachine } from './system-test-support.ts';

const WRMSR = (msr: number, value: string): string =>
  `mov ecx, ${msr}\n mov rdx, offset ${value}\n mov eax, edx\n shr rdx, 32\n wrmsr\n`;
const LSTAR = 0xc0000082;
const FMASK = 0xc0000084;

const TO_RING_3 = `push 0x2b\n push ${USER_STACK}\n push 0x40002\n push 0x33\n push offset user\n iretq\nuser:`;

function run(source: string, prepare: (machine: TestMachine) => void = () => {}): TestMachine {
  const machine = createTestMachine(source);
  prepare(machine);
  machine.run();
  return machine;
}
function finish(source: string, prepare?: (machine: TestMachine) => void): TestMachine {
  const machine = run(source, prepare);
  assert.equal(machine.report(), undefined);
  return machine;
}
function fault(source: string, prepare?: (machine: TestMachine) => void): readonly [vector: number, errorCode: number] {
  const { vector, errorCode } = run(source, prepare).report()!;
  return [vector, errorCode];
}

describe('rings', () => {
  it('goes to ring 3 by IRETQ, back by SYSCALL, again by SYSRETQ, and ends in ring 0', () => {
    const { context, symbols } = finish(`
      ${WRMSR(LSTAR, 'entry')}
      ${WRMSR(FMASK, '0x40700')}
      ${TO_RING_3}
      mov ebx, 1
      stc
      syscall
      after: mov ebx, 2
      syscall
      entry: cmp ebx, 2
      je done
      mov r12, rcx
      mov r13, r11
      mov r14, rsp
      mov r15d, cs
      sysretq
      done: hlt`);
    const { cpu, mem } = context;
    assert.equal(cpu.gpr(12), BigInt(symbols.get('after')!));
    // CF, AC and the fixed bit are saved in R11; AC is masked at entry and SYSRET brings it back.
    assert.equal(cpu.gpr(13), 0x40003n);
    assert.equal(cpu.gpr(11) & 0x40000n, 0x40000n);
    assert.equal(mem.get32(L.SYSTEM_FLAGS) & 0x40000, 0);
    assert.equal(cpu.gpr(14), BigInt(USER_STACK));
    assert.equal(cpu.gpr(15), 0x10n);
    assert.equal(cpu.cpl, 0);
    assert.deepEqual(cpu.segment(Segment.SS), { selector: 0x18, base: 0n, limit: 0xffffffff, rights: 0xc093 });
  });

  it('returns to 64-bit ring 3 by SYSRETQ with the segments that STAR names', () => {
    const { context } = finish(
      `mov rcx, offset user\n mov r11d, 0x2\n mov rsp, ${USER_STACK}\n sysretq\n user: int 0x80`,
      (m) => {
        m.gate(0x80, { dpl: 3 });
        // The handler's HLT is the end.
        m.context.physical.write(m.symbols.get('handlers')! + 0x80 * 16, Uint8Array.of(0xf4));
      },
    );
    const { physical } = context;
    const frame = (RSP0 & ~15) - 40;
    assert.deepEqual([physical.read64(frame + 8), physical.read64(frame + 32)], [0x33n, 0x2bn]);
  });

  const privileged = [
    'hlt',
    'cli',
    'sti',
    'mov rax, cr0',
    'mov cr3, rax',
    'mov rax, dr7',
    'clts',
    'lgdt [rsp]',
    'lidt [rsp]',
    'lldt ax',
    'ltr ax',
    'lmsw ax',
    'invlpg [rsp]',
    'invd',
    'wbinvd',
    'rdmsr',
    'wrmsr',
    'swapgs',
    'sysretq',
    'in al, 0x80',
    'out dx, al',
    'vmxon [rsp]',
  ];
  for (const instruction of privileged) {
    it(`refuses ${instruction} in ring 3`, () => assert.deepEqual(fault(`${TO_RING_3} ${instruction}`), [13, 0]));
  }

  it('does not let POPF of ring 3 change IF or IOPL', () => {
    const { context } = run(`${TO_RING_3} push 0x3202\n popf\n ud2`);
    assert.equal(context.mem.get32(L.SYSTEM_FLAGS) & 0x3200, 0);
  });

  it('drops data segments of ring 0 on the way to ring 3', () => {
    const { context } = run(`mov eax, 0x18\n mov ds, eax\n mov eax, 0x2b\n mov es, eax\n ${TO_RING_3} ud2`);
    assert.equal(context.cpu.segment(Segment.DS).selector, 0);
    assert.equal(context.cpu.segment(Segment.ES).selector, 0x2b);
  });

  it('loads what dune_boot loads: GDT, segments, a far return to CS, TR and IDT', () => {
    const { context } = finish(
      `lgdt [gdtr]\n mov eax, 0x18\n mov ds, eax\n mov es, eax\n mov ss, eax\n mov rax, offset next\n push 0x10\n push rax\n lretq\n
       next: mov eax, 0x38\n ltr ax\n lidt [idtr]\n sti\n sgdt [${STACK + 64}]\n str ebx\n hlt
       gdtr: .word 0x47\n .quad ${GDT}\n idtr: .word 0xfff\n .quad 0x2000`,
      ({ context: { cpu, mem } }) => {
        mem.set32(L.GDTR_LIMIT, 0);
        mem.set32(L.IDTR_LIMIT, 0);
        cpu.setSegment(Segment.TR, { selector: 0, base: 0n, limit: 0, rights: 0x8b });
      },
    );
    const { cpu, physical, mem } = context;
    assert.deepEqual(cpu.segment(Segment.TR), { selector: 0x38, base: BigInt(TSS), limit: 0x67, rights: 0x8b });
    assert.equal((physical.read64(GDT + 0x38) >> 40n) & 0xfn, 11n, 'the TSS is marked busy');
    assert.equal((physical.read64(GDT + 0x18) >> 40n) & 1n, 1n, 'the data descriptor is marked accessed');
    assert.equal(cpu.gpr(3), 0x38n);
    assert.equal(physical.read64(STACK + 64), (BigInt(GDT) << 16n) | 0x47n);
    assert.equal(mem.get32(L.SYSTEM_FLAGS) & 0x200, 0x200);
  });

  it('refuses LTR of a busy TSS and IRETQ with NT', () => {
    assert.deepEqual(fault('mov eax, 0x38\n ltr ax\n ltr ax'), [13, 0x38]);
    assert.deepEqual(fault('pushf\n or dword ptr [rsp], 0x4000\n popf\n iretq'), [13, 0]);
  });

  it('refuses IRETQ to a CS whose DPL is not its RPL, and to an address that is not canonical', () => {
    const frame = (cs: number, rip: string): string =>
      `push 0x18\n push ${STACK}\n push 2\n push ${cs}\n mov rax, ${rip}\n push rax\n iretq`;
    assert.deepEqual(fault(frame(0x13, `${CODE}`)), [13, 0x10]);
    assert.deepEqual(fault(frame(0x10, '0x8000000000000000')), [13, 0]);
    assert.deepEqual(fault(frame(0x18, `${CODE}`)), [13, 0x18]);
  });

  it('goes through a 64-bit call gate to ring 0 and back by a far return', () => {
    const { context, symbols } = finish(
      `${TO_RING_3} call fword ptr [pointer]\n back: int 0x80\n gate: mov r12, rsp\n mov r13, [rsp+16]\n retfq\n pointer: .long 0\n .word 0x53`,
      (m) => {
        const target = BigInt(m.symbols.get('gate')!);
        m.context.physical.write64(
          GDT + 0x50,
          (target & 0xffffn) | (0x10n << 16n) | (0xecn << 40n) | ((target >> 16n) << 48n),
        );
        m.context.physical.write64(GDT + 0x58, 0n);
        m.gate(0x80, { dpl: 3 });
        m.context.physical.write(m.symbols.get('handlers')! + 0x80 * 16, Uint8Array.of(0xf4));
      },
    );
    assert.equal(context.cpu.gpr(12), BigInt(RSP0 - 32));
    assert.equal(context.cpu.gpr(13), BigInt(USER_STACK));
    assert.equal(context.physical.read64((RSP0 & ~15) - 40), BigInt(symbols.get('back')! + 2));
  });

  it('swaps GS bases and reads segment bases', () => {
    const { context } = finish(`mov eax, 0x1234\n wrgsbase rax\n swapgs\n rdgsbase rbx\n swapgs\n rdgsbase rcx\n hlt`);
    assert.deepEqual([context.cpu.gpr(3), context.cpu.gpr(1)], [0n, 0x1234n]);
  });

  it('answers LAR, LSL, VERR and VERW', () => {
    const { context } = finish(
      `mov ecx, 0x2b\n lar eax, ecx\n sete r8b\n lsl ebx, ecx\n sete r9b\n verr cx\n sete r10b\n mov ecx, 0x10\n verw cx\n sete r11b\n mov ecx, 0x7f\n lar edx, ecx\n sete r12b\n hlt`,
    );
    const value = (register: number): bigint => context.cpu.gpr(register);
    assert.deepEqual([8, 9, 10, 11, 12].map(value), [1n, 1n, 1n, 0n, 0n]);
    assert.deepEqual([value(0), value(3)], [0xc0f300n, 0xffffffffn]);
  });
});

import assert from 'node:assert/strict';
import * as L from '../layout.ts';
import { RunStop } from '../engine-api.ts';
import { IDT, IST1, RSP0, STACK, UNMAPPED, USER_STACK, createTestMachine } from './system-test-support.ts';
import type { Report, TestMachine } from './system-test-support.ts';

/** Enters ring 3 at label `user` by IRETQ; RFLAGS there is 2 unless given. */
const TO_RING_3 = (flags = '2'): string => `
  push 0x2b
  push ${USER_STACK}
  push ${flags}
  push 0x33
  push offset user
  iretq
user:`;

function run(
  source: string,
  prepare: (machine: TestMachine) => void = () => {},
): { machine: TestMachine; report: Report } {
  const machine = createTestMachine(source);
  prepare(machine);
  machine.run();
  const report = machine.report();
  assert.ok(
    report,
    `no handler ran; activity ${machine.context.mem.get32(L.ACTIVITY)}, rip ${machine.context.cpu.rip.toString(16)}`,
  );
  return { machine, report };
}

describe('exceptions', () => {
  it('pushes a frame aligned to 16 and hands over RFLAGS with RF set for a fault', () => {
    const { machine, report } = run(`lea rsp, [rsp-8]\n stc\n fault: ud2`);
    assert.deepEqual(
      { ...report, rflags: report.rflags.toString(16) },
      {
        vector: 6,
        errorCode: 0,
        rip: machine.symbols.get('fault'),
        cs: 0x10,
        rflags: '10003',
        rsp: BigInt(STACK - 8),
        ss: 0x18,
        handlerRsp: (STACK - 8) & ~15,
      },
    );
  });

  const cases: readonly (readonly [string, number, number, string])[] = [
    ['#DE', 0, 0, 'xor ecx, ecx\n div ecx'],
    ['#BP by INT3', 3, 0, 'int3'],
    ['#DB by INT1', 1, 0, '.byte 0xf1'],
    ['#OF by INT 4', 4, 0, 'int 4'],
    ['#UD', 6, 0, 'ud2'],
    ['#NP with the selector', 11, 0x48, 'mov eax, 0x48\n mov ds, eax'],
    ['#GP by an address that is not canonical', 13, 0, 'mov rax, 0x8000000000000000\n mov rbx, [rax]'],
    ['#GP with the selector', 13, 0x7c, 'mov eax, 0x7f\n mov es, eax'],
    ['#GP by MOVAPS at an odd address', 13, 0, 'lea rax, [rsp+8]\n movaps xmm0, [rax]'],
    ['#PF by a read', 14, 0, `mov eax, ${UNMAPPED}\n mov rbx, [rax]`],
    ['#PF by a write', 14, 2, `mov eax, ${UNMAPPED}\n mov [rax], rbx`],
    ['#PF by a fetch', 14, 0x10, `mov eax, ${UNMAPPED}\n jmp rax`],
    ['#NM', 7, 0, 'mov rax, cr0\n or rax, 8\n mov cr0, rax\n fld1'],
    ['#MF', 16, 0, 'fninit\n push 0x300\n fldcw [rsp]\n fld1\n fldz\n fdivp\n fwait'],
    ['#XM', 19, 0, 'push 0\n ldmxcsr [rsp]\n xorps xmm0, xmm0\n divss xmm0, xmm0'],
    ['a software interrupt', 0x80, 0, 'int 0x80'],
    ['the last vector', 255, 0, 'int 255'],
  ];
  for (const [name, vector, errorCode, source] of cases) {
    it(`delivers ${name}`, () => {
      const { report } = run(source);
      assert.deepEqual([report.vector, report.errorCode], [vector, errorCode]);
    });
  }

  it('comes back from a handler that cannot be fetched, for ever as its faults go on', () => {
    const machine = createTestMachine(`mov eax, ${UNMAPPED}\n fault: mov rbx, [rax]`);
    const { cpu, engine, physical } = machine.context;
    machine.gate(14, { ist: 1 });
    const handler = BigInt(UNMAPPED + 0x1230);
    const OFFSET = 0xffff_0000_0000_ffffn;
    physical.write64(
      IDT + 14 * 16,
      (physical.read64(IDT + 14 * 16) & ~OFFSET) | ((handler >> 16n) << 48n) | (handler & 0xffffn),
    );
    const before = engine.retired;
    for (let call = 0; call < 2; call++) {
      assert.equal(engine.run(1_000_000), RunStop.Fruitless);
      assert.equal(engine.retired - before, 1);
      assert.equal(cpu.rip, handler);
      assert.equal(physical.read64((IST1 & ~15) - 40), handler);
    }
    assert.equal(engine.step(), RunStop.Fruitless);
    assert.equal(cpu.rip, handler);
  });

  it('returns after INT n and INT3, at the instruction for faults', () => {
    const { machine, report } = run('nop\n int 0x40\nafter: nop');
    assert.equal(report.rip, machine.symbols.get('after'));
    assert.equal(report.rflags & 0x10000, 0);
  });

  it('raises #AC only in ring 3 with CR0.AM and RFLAGS.AC', () => {
    const { report } = run(`${TO_RING_3('0x40002')} mov rax, [rsp+1]`);
    assert.deepEqual([report.vector, report.errorCode, report.cs], [17, 0, 0x33]);
  });

  it('sets CR2 when a page fault is delivered', () => {
    const { machine } = run(`mov eax, ${UNMAPPED + 0x123}\n mov rbx, [rax]`);
    assert.equal(machine.context.cpu.cr2, BigInt(UNMAPPED + 0x123));
  });

  it('single-steps with TF: #DB after each instruction, with RF clear', () => {
    const { machine, report } = run('pushf\n or dword ptr [rsp], 0x100\n popf\n nop\nafter: nop');
    assert.deepEqual([report.vector, report.rip], [1, machine.symbols.get('after')]);
    assert.equal(machine.context.mem.get64(L.DR6) & 0x4000n, 0x4000n);
  });

  it('clears IF in an interrupt gate and keeps it in a trap gate', () => {
    for (const [type, kept] of [
      [14, 0],
      [15, 0x200],
    ] as const) {
      const { machine } = run('sti\n nop\n ud2', ({ gate }) => gate(6, { type }));
      assert.equal(machine.context.mem.get32(L.SYSTEM_FLAGS) & 0x200, kept);
    }
  });

  it('switches to the interrupt stack table', () => {
    const { report } = run('ud2', ({ gate }) => gate(6, { ist: 1 }));
    assert.equal(report.handlerRsp, IST1 & ~15);
    assert.equal(report.rsp, BigInt(STACK));
  });

  it('comes from ring 3 by RSP0, aligned, with the SS of ring 3 in the frame and a null SS in the handler', () => {
    const { machine, report } = run(`${TO_RING_3()} ud2`);
    assert.deepEqual(
      [report.cs, report.ss, report.rsp, report.handlerRsp],
      [0x33, 0x2b, BigInt(USER_STACK), RSP0 & ~15],
    );
    assert.equal(machine.context.cpu.cpl, 0);
    assert.equal(machine.context.mem.get16(L.SS + L.SEG_SELECTOR), 0);
  });

  it('checks the DPL of the gate for INT n from ring 3 only', () => {
    const refused = run(`${TO_RING_3()} int 0x40`).report;
    assert.deepEqual([refused.vector, refused.errorCode], [13, 0x40 * 8 + 2]);
    const allowed = run(`${TO_RING_3()} int 0x40`, ({ gate }) => gate(0x40, { dpl: 3 })).report;
    assert.equal(allowed.vector, 0x40);
  });

  it('sets the accessed bit of the handler CS', () => {
    const { machine } = run('ud2');
    assert.equal((machine.context.physical.read64(0x1010) >> 40n) & 1n, 1n);
  });

  it('makes a double fault of a contributory fault during #GP, and names both', () => {
    const { machine, report } = run('mov rax, 0x8000000000000000\n mov rbx, [rax]', ({ gate }) =>
      gate(13, { present: false }),
    );
    assert.deepEqual([report.vector, report.errorCode], [8, 0]);
    assert.deepEqual(
      machine.context.faultChain.map(({ fault, failed }) => [fault.kind === 'exception' && fault.vector, failed]),
      [
        [13, 'IDT entry 13 is not present'],
        [11, '#NP while delivering #GP is a double fault'],
        [8, undefined],
      ],
    );
  });

  it('delivers #GP in place of a benign #UD whose gate is bad', () => {
    const { report } = run('ud2', ({ gate }) => gate(6, { type: 5 }));
    assert.deepEqual([report.vector, report.errorCode], [13, 6 * 8 + 2 + 1]);
  });

  it('makes a double fault of a page fault during a page fault', () => {
    const { report } = run(`mov rsp, ${UNMAPPED + 0x1000}\n mov rax, [rsp]`, ({ gate }) => gate(8, { ist: 1 }));
    assert.equal(report.vector, 8);
  });

  it('shuts down after a triple fault, with the reasons in order', () => {
    const machine = createTestMachine('push 0\n push 0\n lidt [rsp]\n ud2');
    machine.run();
    const { mem, faultChain } = machine.context;
    assert.equal(mem.get32(L.ACTIVITY), 2);
    assert.deepEqual(
      faultChain.map(({ failed }) => failed),
      [
        'IDT limit 0x0: vector 6 is outside',
        'IDT limit 0x0: vector 13 is outside',
        '#GP while delivering #GP is a double fault',
        'IDT limit 0x0: vector 8 is outside',
        undefined,
      ],
    );
  });

  it('calls a handler misaligned by 8 when the stub pushes 16 words less one', () => {
    // The libdune trap stub: an error-code slot and 15 registers below the CPU's frame, then CALL.
    const { report } = run(
      `mov rax, offset stub\n mov [0x2060], ax\n shr rax, 16\n mov [0x2066], ax\n ud2
       stub: push rax\n sub rsp, 120\n call inner\n inner: movaps xmm0, [rsp+8]\n hlt`,
    );
    assert.deepEqual([report.vector, report.errorCode], [13, 0]);
  });
});

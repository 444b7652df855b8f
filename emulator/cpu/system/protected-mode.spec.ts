/** 32-bit protected mode, against the SDM: gates of the IDT, rings, call gates, virtual-8086 mode, tasks. */
import assert from 'node:assert/strict';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import { Gdt, GDT, HANDLERS, STACK, TSS, createProtectedMachine } from './legacy-test-support.ts';
import type { LegacyMachine } from './legacy-test-support.ts';

const [AX, CX, DX, BX, SP, BP, SI, DI] = [0, 1, 2, 3, 4, 5, 6, 7];
const USER_STACK = 0x7400;
const RING0_STACK = 0x7800;
const TO_USER = `push ${Gdt.userData}\n push ${USER_STACK}\n push 0x2\n push ${Gdt.userCode}\n push offset user\n iretd\n user:`;
const TSS_B = 0x3100;
const TSS_16 = 0x3200;
/** The HLT of a handler. */
const HALT = HANDLERS + 5;

function run(source: string, prepare: (machine: LegacyMachine) => void = () => {}): LegacyMachine {
  const machine = createProtectedMachine(source);
  prepare(machine);
  machine.run();
  return machine;
}
/** Vector and, where there is one, error code of the exception that ended it. */
function fault(source: string, prepare?: (machine: LegacyMachine) => void): readonly [vector: number, error: number] {
  const [vector, error] = run(source, prepare).dwords(2);
  return [vector!, error!];
}
const flags = (machine: LegacyMachine): number => machine.context.mem.get32(L.SYSTEM_FLAGS);

describe('protected mode', () => {
  it('delivers to a 32-bit interrupt gate of the same ring', () => {
    const machine = run('sti\n here: ud2');
    const [vector, eip, cs, eflags] = machine.dwords(4);
    assert.deepEqual([vector, eip, cs], [6, machine.symbols.get('here'), Gdt.code32]);
    assert.equal(eflags! & 0x200, 0x200);
    assert.equal(flags(machine) & 0x200, 0);
    assert.equal(machine.gpr(SP), STACK - 16);
  });

  it('leaves IF to a trap gate, and pushes error codes', () => {
    const machine = run('sti\n mov eax, 0xfff8\n mov ds, eax', (m) => m.gate(13, { type: 15 }));
    assert.deepEqual(machine.dwords(2), [13, 0x7ff8 + 0x8000]);
    assert.equal(flags(machine) & 0x200, 0x200);
  });

  it('delivers to a 16-bit gate with a frame of words', () => {
    const machine = run('int 0x80\n after: nop\n handler: mov ebx, esp\n hlt', (m) =>
      m.gate(0x80, { type: 6, at: 'handler' }),
    );
    const frame = machine.words(machine.gpr(BX), 3);
    assert.deepEqual(frame.slice(0, 2), [machine.symbols.get('after'), Gdt.code32]);
    assert.equal(machine.gpr(SP), STACK - 6);
  });

  it('goes to ring 3 and back by an interrupt on the stack of the TSS', () => {
    const machine = run(
      `${TO_USER} mov eax, 5\n int 0x80\n back: inc eax\n int 0x81
       handler: push ds\n add eax, 10\n pop ds\n iretd`,
      (m) => {
        m.gate(0x80, { at: 'handler', dpl: 3 });
        m.gate(0x81, { dpl: 3 });
      },
    );
    assert.equal(machine.gpr(AX), 16);
    const [vector, , cs, , esp, ss] = machine.dwords(6);
    assert.deepEqual([vector, cs, esp, ss], [0x81, Gdt.userCode, USER_STACK, Gdt.userData]);
    assert.equal(machine.gpr(SP), RING0_STACK - 24);
    assert.equal(machine.context.cpu.cpl, 0);
  });

  const software: readonly (readonly [string, string, number])[] = [
    ['INT3', 'int3', 3],
    ['INT1', 'int1', 1],
    ['INTO with OF', 'mov al, 0x7f\n inc al\n into', 4],
  ];
  for (const [name, source, vector] of software) {
    it(`delivers ${name} with the address after it`, () => {
      const machine = run(`${source}\n after: ud2`);
      assert.deepEqual(machine.dwords(2), [vector, machine.symbols.get('after')]);
    });
  }

  it('passes over INTO without OF', () => {
    assert.equal(run('xor eax, eax\n into\n ud2').dwords(1)[0], 6);
  });

  it('finds segments in an LDT, with base, limit and direction', () => {
    const machine = run(
      `mov eax, ${Gdt.ldt}\n lldt ax\n sldt ebx\n mov eax, 4\n mov ds, eax\n mov edx, [4]\n lsl ecx, eax\n mov eax, 12\n mov es, eax
       mov esi, es:[0x1000]\n here: mov edi, es:[0xffc]`,
      (m) => {
        // Data at 7100h, 8 bytes; data at 6100h that expands down to 1000h.
        m.context.physical.write64(0x3300, 0x0040_9200_7100_0007n);
        m.context.physical.write64(0x3308, 0x0040_9600_6100_0fffn);
        m.write32(0x7100, 0x11111111, 0x22222222);
      },
    );
    const general = [BX, DX, CX, SI].map((register) => machine.gpr(register));
    assert.deepEqual(general, [Gdt.ldt, 0x22222222, 7, 0x11111111]);
    assert.deepEqual(machine.dwords(3), [13, 0, machine.symbols.get('here')]);
  });

  it('drops data segments of ring 0 on the way out', () => {
    const machine = run(
      `mov eax, ${Gdt.userData}\n mov es, eax\n ${TO_USER} mov ebx, ds\n mov ecx, es\n int 0x80`,
      (m) => m.gate(0x80, { dpl: 3 }),
    );
    assert.deepEqual([machine.gpr(BX), machine.gpr(CX)], [0, Gdt.userData]);
  });

  it('delivers on a 16-bit stack of a 16-bit TSS', () => {
    const machine = run(`mov eax, ${Gdt.tss16}\n ltr ax\n ${TO_USER} ud2`, (m) =>
      // SP0 and SS0.
      m.write32(TSS_16, 0x9000 << 16, Gdt.data16),
    );
    const [vector, , cs, , esp, ss] = machine.dwords(6);
    assert.deepEqual([vector, cs, esp, ss], [6, Gdt.userCode, USER_STACK, Gdt.userData]);
    assert.equal(machine.gpr(SP) & 0xffff, 0x9000 - 24);
    assert.equal(machine.context.cpu.segment(Segment.SS).selector, Gdt.data16);
  });

  const faults: readonly (readonly [string, string, number, number, ((m: LegacyMachine) => void)?])[] = [
    ['a null DS', 'xor eax, eax\n mov ds, eax\n mov eax, [0x1000]', 13, 0],
    ['a write through CS', 'mov cs:[0x7000], eax', 13, 0],
    ['an absent segment', `mov eax, ${Gdt.absent}\n mov ds, eax`, 11, Gdt.absent],
    ['an absent SS', `mov eax, ${Gdt.absent}\n mov ss, eax`, 12, Gdt.absent],
    ['a null SS', 'xor eax, eax\n mov ss, eax', 13, 0],
    ['a selector outside the GDT', 'mov eax, 0x88\n mov es, eax', 13, 0x88],
    ['a selector of an LDT that is not there', 'mov eax, 0xc\n mov es, eax', 13, 0xc],
    ['a vector outside the IDT', 'int 0xff', 13, 0xff * 8 + 2, (m) => m.context.mem.set32(L.IDTR_LIMIT, 0x7f7)],
    ['an absent gate', 'int 0x80', 11, 0x80 * 8 + 2, (m) => m.gate(0x80, { present: false })],
    ['INT n below the DPL of its gate', `${TO_USER} int 0x80`, 13, 0x80 * 8 + 2],
    ['a DS of ring 0 used in ring 3', `mov eax, [0x1000]\n ${TO_USER} mov eax, [0x1000]`, 13, 0],
    ['HLT in ring 3', `${TO_USER} hlt`, 13, 0],
    ['a gate to data', 'int 0x80', 13, Gdt.data32, (m) => m.gate(0x80, { selector: Gdt.data32 })],
    ['a far jump to an outer ring', `ljmp ${Gdt.userCode & 0xf8}, 0`, 13, Gdt.userCode & 0xf8],
    ['IRET to an inner ring', `${TO_USER} push 2\n push ${Gdt.code32}\n push 0\n iretd`, 13, Gdt.code32],
    [
      'an SS0 that is null',
      `${TO_USER} ud2`,
      10,
      1,
      (m) => {
        m.write32(TSS + 4, RING0_STACK, 0);
        m.gate(10, { type: 5, selector: Gdt.tssB, at: 0 });
        ringTask(m);
      },
    ],
    ['a jump outside CS', `ljmp ${Gdt.code16}, 0x10000`, 13, 0],
  ];
  for (const [what, source, vector, error, prepare] of faults) {
    it(`raises vector ${vector} for ${what}`, () => {
      const machine = run(source, prepare);
      if (vector === 10) {
        // The handler is a task: only its own stack is whole.
        assert.equal(machine.dwords(1)[0], error);
        return;
      }
      assert.deepEqual(machine.dwords(2), [vector, error]);
    });
  }

  it('raises a double fault, then shuts down', () => {
    assert.equal(
      fault('int 0x80\n', (m) => {
        m.gate(0x80, { selector: Gdt.absent, present: true });
        m.gate(11, { present: false });
        m.gate(13, { present: false });
      })[0],
      8,
    );
    const machine = run('ud2', (m) => m.context.mem.set32(L.IDTR_LIMIT, 0));
    assert.equal(machine.context.mem.get32(L.ACTIVITY), 2);
  });

  it('calls through a gate to ring 0, copying parameters, and returns with them released', () => {
    const machine = run(
      `${TO_USER} push 0x11\n push 0x22\n lcall ${Gdt.gate | 3}, 0\n back: mov ecx, esp\n int 0x80
       entry: mov ebx, [esp + 8]\n mov edx, [esp + 12]\n mov esi, [esp + 16]\n mov edi, cs\n retf 8`,
      (m) => {
        m.callGate(Gdt.gate, { at: 'entry', parameters: 2 });
        m.gate(0x80, { dpl: 3 });
      },
    );
    assert.deepEqual(
      [BX, DX, SI, DI, CX].map((register) => machine.gpr(register)),
      [0x22, 0x11, USER_STACK - 8, Gdt.code32, USER_STACK],
    );
  });

  it('calls through a 16-bit gate within ring 0', () => {
    const machine = run(`lcall ${Gdt.gate}, 0\n back: hlt\n entry: mov ebx, [esp]\n .byte 0x66\n retf`, (m) =>
      m.callGate(Gdt.gate, { at: 'entry', type: 4 }),
    );
    assert.equal(machine.gpr(BX), (Gdt.code32 << 16) | machine.symbols.get('back')!);
    assert.equal(machine.gpr(SP), STACK);
  });

  it('runs conforming code in the ring of its caller', () => {
    const machine = run(
      `${TO_USER} lcall ${Gdt.conforming}, offset entry\n mov ecx, cs\n int 0x80\n entry: mov ebx, cs\n retf`,
      (m) => m.gate(0x80, { dpl: 3 }),
    );
    assert.deepEqual([machine.gpr(BX), machine.gpr(CX)], [Gdt.conforming | 3, Gdt.userCode]);
  });

  it('enters ring 0 by SYSENTER and leaves it by SYSEXIT', () => {
    const machine = run(
      `mov ecx, 0x174\n mov eax, ${Gdt.code32}\n xor edx, edx\n wrmsr\n inc ecx\n mov eax, ${RING0_STACK}\n wrmsr\n inc ecx\n mov eax, offset entry\n wrmsr
       ${TO_USER} mov ebx, 1\n sysenter\n back: mov edi, cs\n int 0x80\n entry: mov esi, esp\n mov edx, offset back\n mov ecx, ${USER_STACK}\n sysexit`,
      (m) => m.gate(0x80, { dpl: 3 }),
    );
    assert.deepEqual([machine.gpr(SI), machine.gpr(DI)], [RING0_STACK, (Gdt.code32 + 16) | 3]);
  });
});

/** A task at TSS_B that halts at once. */
function ringTask(m: LegacyMachine, entry = HALT): void {
  m.write32(TSS_B + 32, entry, 2, 0xa, 0xc, 0xd, 0xb, 0x7c00, 0xe, 0x5, 0xd1);
  m.write32(TSS_B + 72, Gdt.data32, Gdt.code32, Gdt.data32, Gdt.data32, 0, 0, 0);
}

describe('tasks', () => {
  const busy = (m: LegacyMachine, selector: number): number =>
    m.context.physical.slice(GDT + selector + 5, 1)[0]! & 0xf;

  it('jumps to a task, which finds its registers', () => {
    const machine = run(`mov eax, 0x1111\n mov ebp, 0x2222\n std\n ljmp ${Gdt.tssB}, 0\n after: nop\n task: hlt`, (m) =>
      ringTask(m, m.symbols.get('task')),
    );
    const general = [AX, CX, DX, BX, SP, BP, SI, DI].map((register) => machine.gpr(register));
    assert.deepEqual(general, [0xa, 0xc, 0xd, 0xb, 0x7c00, 0xe, 5, 0xd1]);
    const saved = machine.dwords(10, TSS + 32);
    assert.deepEqual([saved[0], saved[2], saved[7], saved[6]], [machine.symbols.get('after'), 0x1111, 0x2222, STACK]);
    assert.equal(saved[1]! & 0x400, 0x400);
    assert.deepEqual([busy(machine, Gdt.tss), busy(machine, Gdt.tssB)], [9, 11]);
    assert.equal(machine.context.cpu.segment(Segment.TR).selector, Gdt.tssB);
    assert.equal(machine.context.cpu.cr0 & 8n, 8n, 'CR0.TS');
    assert.equal(flags(machine) & 0x4000, 0);
  });

  it('calls a task, which returns by IRET', () => {
    const machine = run(
      `mov ebx, 0x33\n lcall ${Gdt.tssB}, 0\n after: mov ecx, ebx\n pushfd\n pop edx\n hlt
       task: pushfd\n pop dword ptr [0x7100]\n mov ebx, 0x44\n iretd`,
      (m) => ringTask(m, m.symbols.get('task')),
    );
    assert.equal(machine.gpr(CX), 0x33);
    assert.equal(machine.dwords(1, 0x7100)[0]! & 0x4000, 0x4000, 'NT while nested');
    assert.equal(machine.gpr(DX) & 0x4000, 0);
    assert.equal(machine.dwords(1, TSS_B)[0]! & 0xffff, Gdt.tss, 'the link');
    assert.deepEqual([busy(machine, Gdt.tss), busy(machine, Gdt.tssB)], [11, 9]);
    const saved = machine.dwords(6, TSS_B + 32);
    assert.deepEqual([saved[5], saved[1]! & 0x4000], [0x44, 0]);
  });

  it('delivers a fault with an error code to a task', () => {
    const machine = run(`here: mov eax, [0x1000]\n hlt\n task: hlt`, (m) => {
      ringTask(m, m.symbols.get('task'));
      m.gate(13, { type: 5, selector: Gdt.tssB, at: 0 });
      m.context.cpu.setSegment(Segment.DS, { selector: 0, base: 0n, limit: 0, rights: 0x10000 });
      m.context.engine.contextChanged();
    });
    assert.deepEqual([machine.gpr(SP), machine.dwords(1)[0]], [0x7c00 - 4, 0]);
    assert.equal(machine.dwords(1, TSS + 32)[0], machine.symbols.get('here'));
    assert.equal(flags(machine) & 0x4000, 0x4000);
  });

  it('switches to a 16-bit task', () => {
    const machine = run(`ljmp ${Gdt.tss16}, 0\n task: hlt`, (m) => {
      const words = [
        m.symbols.get('task')!,
        2,
        0xa,
        0xc,
        0xd,
        0xb,
        0x7c00,
        0xe,
        5,
        0xd1,
        Gdt.data32,
        Gdt.code32,
        Gdt.data32,
        Gdt.data32,
        0,
      ];
      m.context.physical.write(TSS_16 + 14, new Uint8Array(Uint16Array.from(words).buffer));
    });
    assert.deepEqual([machine.gpr(BX) & 0xffff, machine.gpr(SP) & 0xffff], [0xb, 0x7c00]);
    assert.equal(busy(machine, Gdt.tss16), 3);
  });

  it('traps by the T bit before the first instruction of the task', () => {
    const machine = run(`ljmp ${Gdt.tssB}, 0\n task: ud2`, (m) => {
      ringTask(m, m.symbols.get('task'));
      m.write32(TSS_B + 100, 1);
    });
    const [vector, eip] = machine.dwords(2);
    assert.deepEqual([vector, eip], [1, machine.symbols.get('task')]);
    assert.equal(machine.context.mem.get64(L.DR6) & 0x8000n, 0x8000n);
  });

  const faults: readonly (readonly [string, string, number, number, ((m: LegacyMachine) => void)?])[] = [
    ['a busy TSS', `ljmp ${Gdt.tss}, 0`, 13, Gdt.tss],
    [
      'an absent TSS',
      `ljmp ${Gdt.tssB}, 0`,
      11,
      Gdt.tssB,
      (m) => m.context.physical.write(GDT + Gdt.tssB + 5, Uint8Array.of(0x09)),
    ],
    [
      'a TSS that is too small',
      `ljmp ${Gdt.tssB}, 0`,
      10,
      Gdt.tssB,
      (m) => m.context.physical.write(GDT + Gdt.tssB, Uint8Array.of(0x66)),
    ],
    [
      'IRET with NT to a TSS that is not busy',
      `pushfd\n or dword ptr [esp], 0x4000\n popfd\n iretd`,
      10,
      Gdt.tssB,
      (m) => m.write32(TSS, Gdt.tssB),
    ],
    [
      'a task with a bad SS',
      `ljmp ${Gdt.tssB}, 0`,
      10,
      Gdt.userData & 0xf8,
      (m) => {
        ringTask(m);
        m.write32(TSS_B + 80, Gdt.userData);
        m.gate(10, { type: 5, selector: Gdt.tss16, at: 0 });
        const words = [
          HANDLERS + 8 * 0x7e,
          2,
          0,
          0,
          0,
          0,
          0x7c00,
          0,
          0,
          0,
          Gdt.data32,
          Gdt.code32,
          Gdt.data16,
          Gdt.data32,
          0,
        ];
        m.context.physical.write(TSS_16 + 14, new Uint8Array(Uint16Array.from(words).buffer));
      },
    ],
  ];
  for (const [what, source, vector, error, prepare] of faults) {
    it(`raises vector ${vector} for ${what}`, () => {
      const machine = run(source, prepare);
      if (error === (Gdt.userData & 0xf8)) {
        // A task handles it: it pushed 7Eh below the error code.
        const [, pushed] = machine.dwords(2, machine.gpr(SP) & 0xffff);
        assert.equal((pushed ?? 0) & 0xffff, error);
      } else assert.deepEqual(machine.dwords(2), [vector, error]);
    });
  }
});

describe('virtual-8086 mode', () => {
  /** Enters code at 900h:0 with SS:SP = 700h:100h, DS = 123h, ES = 234h, FS = 345h, GS = 456h. */
  const ENTER = (eflags: number): string =>
    `push 0x456\n push 0x345\n push 0x123\n push 0x234\n push 0x700\n push 0x100\n push ${eflags | 0x20002}\n push 0x900\n push 0\n iretd\n`;
  const VIRTUAL = 0x9000;

  function enter(
    code: readonly number[],
    eflags = 0,
    source = '',
    prepare: (m: LegacyMachine) => void = () => {},
  ): LegacyMachine {
    return run(`${ENTER(eflags)} ${source}`, (m) => {
      m.context.physical.write(VIRTUAL, Uint8Array.from(code));
      prepare(m);
    });
  }

  it('enters by IRETD and leaves by a fault that pushes all segments', () => {
    // mov [0], ax; hlt
    const machine = enter([0xb8, 0x34, 0x12, 0xa3, 0, 0, 0xf4]);
    const frame = machine.dwords(11);
    assert.deepEqual(frame.slice(0, 4), [13, 0, 6, 0x900]);
    assert.equal(frame[4]! & 0x20000, 0x20000);
    assert.deepEqual(frame.slice(5), [0x100, 0x700, 0x234, 0x123, 0x345, 0x456]);
    assert.deepEqual(machine.words(0x1230, 1), [0x1234]);
    assert.equal(machine.context.cpu.segment(Segment.DS).rights, 0x10000);
    assert.equal(flags(machine) & 0x20000, 0);
    assert.equal(machine.gpr(SP), RING0_STACK - 44);
  });

  it('leaves INT n to a monitor, which reflects it and goes back', () => {
    const machine = enter(
      // int 21h; hlt
      [0xcd, 0x21, 0xf4],
      0,
      `monitor: add esp, 4\n cmp dword ptr [esp], 0\n jne done\n mov eax, [esp + 4]\n shl eax, 4\n add eax, [esp]\n movzx ebx, byte ptr es:[eax + 1]\n
       mov ecx, 0x77\n add dword ptr [esp], 2\n iretd\n done: mov esi, [esp]\n hlt`,
      (m) => {
        m.gate(13, { at: 'monitor' });
        m.context.physical.write(m.symbols.get('monitor')! + 3 + 4 + 2 + 4 + 3 + 3, Uint8Array.of(0x2e));
      },
    );
    assert.deepEqual([machine.gpr(BX), machine.gpr(CX), machine.gpr(SI)], [0x21, 0x77, 2]);
  });

  const sensitive: readonly (readonly [string, readonly number[]])[] = [
    ['CLI', [0xfa]],
    ['STI', [0xfb]],
    ['PUSHF', [0x9c]],
    ['POPF', [0x9d]],
    ['INT n', [0xcd, 0x80]],
    ['IRET', [0xcf]],
  ];
  for (const [name, code] of sensitive) {
    it(`raises #GP(0) for ${name} with IOPL 0, not with IOPL 3`, () => {
      assert.deepEqual(enter(code).dwords(3), [13, 0, 0]);
      const machine = enter([...code, 0x0f, 0x0b], 0x3000, '', (m) => m.gate(0x80, { dpl: 3 }));
      const [vector, error] = machine.dwords(2);
      assert.notDeepEqual([vector, error], [13, 0]);
    });
  }

  it('lets INT n with IOPL 3 through a gate of DPL 3 to ring 0', () => {
    const machine = enter([0xcd, 0x80], 0x3000, '', (m) => m.gate(0x80, { dpl: 3 }));
    assert.deepEqual(machine.dwords(3), [0x80, 2, 0x900]);
  });

  it('runs PUSHF, POPF, IRET and far transfers as a processor of 16 bits', () => {
    const machine = enter(
      // sti; pushf; pop ax; push ax; popf; callf 910h:0; hlt
      [0xfb, 0x9c, 0x58, 0x50, 0x9d, 0x9a, 0, 0, 0x10, 0x09, 0xf4],
      0x3000,
      '',
      // mov bx, cs; mov cx, sp; retf
      (m) => m.context.physical.write(0x9100, Uint8Array.of(0x8c, 0xcb, 0x89, 0xe1, 0xcb)),
    );
    assert.equal(machine.gpr(AX) & 0xffff, 0x3202);
    assert.deepEqual([machine.gpr(BX) & 0xffff, machine.gpr(CX) & 0xffff], [0x910, 0xfc]);
    const [vector, , ip, , eflags] = machine.dwords(5);
    assert.deepEqual([vector, ip, eflags! & 0x200], [13, 10, 0x200]);
  });

  it('asks the I/O map whatever IOPL is', () => {
    // in al, 80h
    assert.deepEqual(enter([0xe4, 0x80], 0x3000).dwords(3), [13, 0, 0]);
    const machine = enter([0xe4, 0x80, 0x0f, 0x0b], 0, '', (m) => {
      m.write32(TSS + 100, 104 << 16);
      m.context.cpu.setSegment(Segment.TR, { selector: Gdt.tss, base: BigInt(TSS), limit: 0xff, rights: 0x8b });
    });
    assert.deepEqual(machine.dwords(2), [6, 2]);
  });

  it('has no VEX, LAR, LLDT or SLDT', () => {
    for (const code of [
      [0xc4, 0xe2, 0x60, 0xf2, 0xc1],
      [0x0f, 0x02, 0xc0],
      [0x0f, 0x00, 0xd0],
      [0x0f, 0x00, 0xc0],
    ])
      assert.deepEqual(enter(code).dwords(2), [6, 0]);
  });
});

/** Several processors: INIT and start-up IPIs, messages between them, who waits for whom (SDM 3A 9.4 and 12.6). */
import assert from 'node:assert/strict';
import type { MachineOptions } from '../machine/api.ts';
import { bootSource, startSource, type Booted } from './board-test-support.ts';

/** Starts processor ICR destination `to` at 8000h, where the real-mode code of label `started` is copied; it goes to `other` in protected mode. */
const START = (to: number): string => `
  apic 0x310, ${to << 24}
  apic 0x300, 0x4500           # INIT
  apic 0x310, ${to << 24}
  apic 0x300, 0x4608           # start-up, page 8
`;
const COPY = `
  mov esi, offset started
  mov edi, 0x8000
  mov ecx, offset started_end - started
  rep movsb
  apic 0xf0, 0x1ff
`;
const STARTED = `
  .code16
started:
  mov bx, cs
  mov word ptr cs:[0x700], bx  # 8700h: its CS
  lgdtd cs:[started_gdt - started]
  mov eax, cr0
  or al, 1
  mov cr0, eax
  .byte 0x66, 0xea             # ljmp 8:
  .long entered
  .word 8
  .balign 8
started_gdt:
  .word 23
  .long gdt
started_end:
  .code32
entered:
  mov eax, 16
  mov ds, eax
  mov es, eax
  mov ss, eax
  lidt [idt_pointer]
  mov eax, dword ptr ds:[0xfee00020]
  shr eax, 24
  mov esp, eax
  shl esp, 12
  add esp, 0x80000             # a stack of its own
  mov dword ptr ds:[0xfee000f0], 0x1ff
  jmp other
`;
/** Spins until the word at an address has a value. */
const until = (address: number, value: number): string =>
  `88: pause\n cmp dword ptr ds:[${address}], ${value}\n jne 88b\n`;
const run = (source: string, options: Partial<MachineOptions> = {}): Booted =>
  bootSource(`main:\n${source}\n${STARTED}`, { cpus: 2, ...options });

describe('a processor that halts', () => {
  const PERIODIC = 'apic 0xf0, 0x1ff\n gate 0x40, tick\n apic 0x320, 0x20040\n apic 0x380, 5000';
  const TICK = 'tick: note 9\n apic 0xb0, 0\n iret';
  const never: readonly (readonly [what: string, source: string])[] = [
    ['with interrupts off', `${PERIODIC}\n cli`],
    ['under a task priority as high as its timer', `${PERIODIC}\n apic 0x80, 0x40\n sti`],
    ['with its timer masked', `${PERIODIC}\n apic 0x320, 0x30040\n sti`],
    ['with its APIC off', `${PERIODIC}\n apic 0xf0, 0xff\n sti`],
  ];
  for (const [what, source] of never)
    it(`${what} halts for good: the machine says so`, () => {
      const { machine } = startSource(`main: ${source}\n hlt\n finish 1\n ${TICK}`);
      assert.equal(machine.run(1e6).kind, 'deadlock');
    });

  it('goes on with its timer otherwise', () => {
    const { notes } = bootSource(`main: ${PERIODIC}\n sti\n hlt\n hlt\n cli\n finish 0\n ${TICK}`);
    assert.deepEqual(notes, [9, 9]);
  });

  it('with interrupts off is woken by an NMI, and takes the tick that waits once they are on', () => {
    const { word } = run(`
      ${COPY} ${START(1)}
      ${until(0x7000, 1)}
      wait_cycles 100000
      apic 0x310, ${1 << 24}
      apic 0x300, 0x400
      ${until(0x7000, 3)}
      finish 0
      other: gate 2, nmi
      gate 0x40, ticked
      apic 0x320, 0x20040
      apic 0x380, 5000
      inc dword ptr ds:[0x7000]
      cli
      hlt
      inc dword ptr ds:[0x7000]
      sti
      nop
      nop
      cli
      inc dword ptr ds:[0x7000]
      1: hlt
      jmp 1b
      nmi: mov dword ptr ds:[0x7004], 7
      iret
      ticked: mov dword ptr ds:[0x7008], 8
      apic 0xb0, 0
      iret`);
    assert.deepEqual([word(0x7004), word(0x7008)], [7, 8]);
  });
});

describe('several processors', () => {
  it('starts the second one in real mode at the vector of the start-up message', () => {
    const { notes, word } = run(`
      ${COPY} ${START(1)}
      ${until(0x7000, 1)}
      note dword ptr ds:[0x7004]
      finish 0
      other: mov dword ptr ds:[0x7004], 0x1234
      lock inc dword ptr ds:[0x7000]
      cli
      hlt`);
    assert.deepEqual(notes, [0x1234]);
    assert.equal(word(0x8700) & 0xffff, 0x800);
  });

  it('ignores a start-up message to a processor that runs, and starts it anew after INIT', () => {
    const { notes } = run(`
      ${COPY} ${START(1)}
      ${until(0x7000, 1)}
      apic 0x300, 0x4608
      wait_cycles 20000
      note dword ptr ds:[0x7000]
      ${START(1)}
      ${until(0x7000, 2)}
      note dword ptr ds:[0x7000]
      finish 0
      other: lock inc dword ptr ds:[0x7000]
      cli
      1: hlt
      jmp 1b`);
    assert.deepEqual(notes, [1, 2]);
  });

  it('accepts INIT and start-up messages for processors that are not there', () => {
    assert.deepEqual(run(`${COPY} ${START(5)} note 1\n finish 0\n other: hlt`, { cpus: 1 }).notes, [1]);
  });

  const messages: readonly (readonly [what: string, icrHigh: number, icr: number, to: readonly number[]])[] = [
    ['a physical destination', 2 << 24, 0x50, [2]],
    ['the physical destination of all', 0xff << 24, 0x50, [0, 1, 2]],
    ['a logical destination in the flat model', 0x06 << 24, 0x850, [1, 2]],
    ['the sender by shorthand', 0, 0x40050, [0]],
    ['all by shorthand', 0, 0x80050, [0, 1, 2]],
    ['all but the sender by shorthand', 0, 0xc0050, [1, 2]],
    ['lowest priority among two: one of them', 0x06 << 24, 0x950, [1]],
    ['nobody', 7 << 24, 0x50, []],
  ];
  for (const [what, high, low, to] of messages)
    it(`sends to ${what}`, () => {
      const { word } = run(
        `
        ${COPY}
        gate 0x50, arrived
        apic 0xd0, 0x01000000
        ${START(1)} ${until(0x7000, 1)}
        ${START(2)} ${until(0x7000, 2)}
        sti
        apic 0x310, ${high}
        apic 0x300, ${low}
        wait_cycles 50000
        cli
        finish 0
        other: mov dword ptr ds:[0xfee00310], 0
        mov eax, dword ptr ds:[0xfee00020]
        shr eax, 24
        mov ecx, eax
        mov eax, 0x01000000
        shl eax, cl
        mov dword ptr ds:[0xfee000d0], eax   # logical ID: a bit each
        lock inc dword ptr ds:[0x7000]
        sti
        1: hlt
        jmp 1b
        arrived: push eax
        mov eax, dword ptr ds:[0xfee00020]
        shr eax, 24
        lock inc dword ptr [0x7100 + eax * 4]
        mov dword ptr ds:[0xfee000b0], 0
        pop eax
        iret`,
        { cpus: 3 },
      );
      const reached = [0, 1, 2].filter((cpu) => word(0x7100 + cpu * 4) === 1);
      assert.deepEqual(reached, to);
    });

  it('sends NMIs, which wake from HLT whatever IF says', () => {
    const { notes } = run(`
      ${COPY}
      gate 2, nmi
      ${START(1)} ${until(0x7000, 1)}
      wait_cycles 5000
      apic 0x300, 0x4400
      ${until(0x7000, 2)}
      note dword ptr ds:[0x7004]
      finish 0
      other: cli
      lock inc dword ptr ds:[0x7000]
      hlt
      lock inc dword ptr ds:[0x7000]
      1: hlt
      jmp 1b
      nmi: mov dword ptr ds:[0x7004], 2
      iret`);
    assert.deepEqual(notes, [2]);
  });

  it('lets time pass for all alike: a message after a wait finds the other one not behind', () => {
    const { notes } = run(`
      ${COPY} ${START(1)} ${until(0x7000, 1)}
      wait_cycles 300000
      rdtsc
      mov dword ptr ds:[0x7008], eax
      mov dword ptr ds:[0x7000], 2
      ${until(0x7000, 3)}
      mov eax, dword ptr ds:[0x700c]
      sub eax, dword ptr ds:[0x7008]
      note eax
      finish 0
      other: lock inc dword ptr ds:[0x7000]
      ${until(0x7000, 2)}
      rdtsc
      mov dword ptr ds:[0x700c], eax
      lock inc dword ptr ds:[0x7000]
      cli
      hlt`);
    const ahead = notes[0]! | 0;
    assert.ok(Math.abs(ahead) < 20_000, `${ahead} cycles apart`);
  });

  it('runs the same in slices of any length', () => {
    const source = `
      ${COPY} ${START(1)}
      mov ecx, 2000
      2: lock inc dword ptr ds:[0x7010]
      loop 2b
      ${until(0x7000, 1)}
      rdtsc
      note eax
      finish 0
      other: mov ecx, 3000
      3: lock add dword ptr ds:[0x7010], 3
      loop 3b
      lock inc dword ptr ds:[0x7000]
      cli
      hlt`;
    const [whole, again] = [run(source), run(source)];
    assert.deepEqual(again.notes, whole.notes);
    assert.equal(whole.word(0x7010), 11_000);
    assert.equal(again.machine.digest(), whole.machine.digest());
  });
});

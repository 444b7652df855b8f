/** String instructions that repeat for hours: timers, other processors and the caller of `run` come to their right all the same. */
import assert from 'node:assert/strict';
import { bootSource, results, startSource } from './board-test-support.ts';

const RF = 0x10000;
/** From an address, for 4 billion elements. */
const FOR_EVER = (instruction: string, at: number): string =>
  `mov esi, ${at}\n mov edi, ${at}\n mov ecx, 0xffffffff\n mov eax, -2\n sti\n endless: ${instruction}\n`;
/** There is no memory; reads there are all ones. */
const NOTHING = 0x8000_0000;
const MEMORY = 0x400000;

describe('long string instructions on a board', () => {
  for (const [what, instruction, at, count] of [
    ['memory', 'rep lodsb', MEMORY, 1_000_000],
    ['addresses without memory', 'rep lodsd', NOTHING, 100_000],
    ['addresses without memory, searched', 'repne scasb', NOTHING, 100_000],
    ['addresses without memory, written', 'rep stosb', NOTHING, 10_000],
    ['addresses without memory, copied', 'rep movsd', NOTHING, 10_000],
  ] as const)
    it(`the timer of the APIC interrupts ${instruction} of ${what}`, () => {
      const { notes, machine } = bootSource(`main:
        apic 0xf0, 0x1ff
        gate 0x40, tick
        apic 0x3e0, 0xb              # divide by 1
        apic 0x320, 0x40
        apic 0x380, ${count}
        rdtsc
        mov ebx, eax
        ${FOR_EVER(instruction, at)}
        finish 1
        tick: note ecx
        mov eax, dword ptr [esp]
        sub eax, offset endless
        note eax
        mov eax, dword ptr [esp + 8]
        note eax
        rdtsc
        sub eax, ebx
        note eax
        finish 0`);
      const [ecx, rip, flags, cycles] = notes;
      assert.equal(ecx! & 0xffff, 0);
      assert.equal(rip, 0);
      assert.equal(flags! & RF, RF);
      assert.ok(cycles! >= count && cycles! < count + 200_000, `${cycles} cycles`);
      assert.ok(machine.stats().instructions < 10_000);
    });

  it('a budget of one ends in the middle of device memory', () => {
    const run = startSource(`main: ${FOR_EVER('rep movsb', NOTHING)} finish 1`);
    const { machine } = run;
    const rip = () => machine.readRegister(1, 'rip');
    let at = rip();
    while (!machine.disassemble(1, at!, 1)[0]!.text.startsWith('rep')) {
      assert.equal(machine.run(1).kind, 'budget');
      at = rip();
    }
    const begun = machine.stats().instructions;
    for (let parts = 1; parts < 4; parts++) {
      assert.equal(machine.run(1).kind, 'budget');
      assert.equal(machine.stats().instructions, begun + parts);
      assert.equal(machine.readRegister(1, 'rcx'), 0x1_0000_0000n - BigInt(parts) * 0x10000n);
      assert.equal(rip(), at);
    }
    // However large the budget is, it comes back.
    assert.equal(machine.run(1e9).kind, 'budget');
    assert.equal(rip(), at);
  });

  it('another processor runs meanwhile, and its message interrupts', () => {
    const source = `main:
      apic 0xf0, 0x1ff
      gate 0x41, told
      mov esi, offset started\n mov edi, 0x8000\n mov ecx, offset started_end - started\n rep movsb
      apic 0x310, 0x1000000
      apic 0x300, 0x4500
      apic 0x310, 0x1000000
      apic 0x300, 0x4608
      mov dword ptr ds:[0x7000], 1
      ${FOR_EVER('rep lodsb', MEMORY)}
      finish 1
      told: note ecx
      note dword ptr ds:[0x7004]
      finish 0
      .code16
      started: cli
      xor ax, ax
      mov ds, ax
      1: cmp dword ptr ds:[0x7000], 1
      jne 1b
      mov ecx, 50000
      2: inc dword ptr ds:[0x7004]
      .byte 0x67
      loop 2b
      lgdtd cs:[started_gdt - started]
      mov eax, cr0
      or al, 1
      mov cr0, eax
      .byte 0x66, 0xea
      .long entered
      .word 8
      .balign 8
      started_gdt: .word 23
      .long gdt
      started_end:
      .code32
      entered: mov eax, 16
      mov ds, eax
      apic 0xf0, 0x1ff
      apic 0x310, 0
      apic 0x300, 0x4041
      cli
      hlt`;
    const { notes, machine } = bootSource(source, { cpus: 2 });
    assert.equal(notes[0]! & 0xffff, 0);
    assert.ok(notes[0]! > 0);
    assert.equal(notes[1], 50_000);
    // A snapshot between two parts is as good as any.
    const sliced = startSource(source, { cpus: 2 });
    let saved = sliced.machine.snapshot();
    for (let slice = 0; sliced.machine.run(1_000).kind !== 'exited'; slice++) {
      if (slice % 3 === 1) sliced.machine.restore(saved);
      if (slice % 3 === 2) saved = sliced.machine.snapshot();
    }
    assert.deepEqual(results(sliced).notes, notes);
    assert.equal(sliced.machine.digest(), machine.digest());
  });
});

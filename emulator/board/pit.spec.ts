/** The interval timer as a kernel sees it (82C54 data sheet), by the time-stamp counter: a tick is 2514.3 cycles. */
import assert from 'node:assert/strict';
import { bootSource, results, startSource } from './board-test-support.ts';
import { finish } from '../../test/machine/support.ts';

const CYCLES_A_TICK = 3e9 / 1_193_182;
const out = (port: number, value: number): string => `port ${port}, ${value}\n`;
const read = (port: number): string => `in_port ${port}\n note eax\n`;
const COMMAND = 0x43;
const READ_BACK = 0xc0;
/** Control word and count of a counter, both bytes. */
const start = (counter: number, mode: number, count: number, bcd = 0): string =>
  out(COMMAND, (counter << 6) | 0x30 | (mode << 1) | bcd) +
  out(0x40 + counter, count & 0xff) +
  out(0x40 + counter, (count >> 8) & 0xff);
const GATE_OPEN = out(0x61, 1);
/** Notes how many cycles the code takes. */
const timed = (code: string): string => `rdtsc\n mov esi, eax\n ${code}\n rdtsc\n sub eax, esi\n note eax\n`;
const UNTIL_OUTPUT = '55: in_port 0x61\n test al, 0x20\n jz 55b\n';
const WHILE_OUTPUT = '56: in_port 0x61\n test al, 0x20\n jnz 56b\n';
const notes = (source: string): number[] => bootSource(`main:\n${source}\n finish 0`).notes;
const EOI = out(0x20, 0x20);
/** Notes the time of each interrupt of vector 8, and counts them in EBX. */
const TICK = `tick: push eax\n push edx\n rdtsc\n note eax\n ${EOI} pop edx\n pop eax\n inc ebx\n iret\n`;
/** Cycles between notes in ticks. */
const ticksBetween = (found: readonly number[]): number[] =>
  found.slice(1).map((time, index) => Math.round((time - found[index]!) / CYCLES_A_TICK));

function about(cycles: number, ticks: number, tolerance = 5): void {
  const wanted = ticks * CYCLES_A_TICK;
  assert.ok(
    Math.abs(cycles - wanted) < tolerance * CYCLES_A_TICK,
    `${cycles} cycles, wanted about ${Math.round(wanted)}`,
  );
}

describe('the interval timer', () => {
  it('measures with counter 2, as kernels calibrate by it: mode 0, gate and output at port 61h', () => {
    const found = notes(
      `${GATE_OPEN} ${timed(start(2, 0, 11932) + UNTIL_OUTPUT)} ${read(0x61)} ${start(2, 0, 100)} ${read(0x61)}`,
    );
    about(found[0]!, 11932);
    assert.deepEqual(
      found.slice(1).map((value) => value & 0x23),
      [0x21, 1],
    );
  });

  it('stops counting while the gate is low', () => {
    const [time] = notes(
      `${GATE_OPEN} ${timed(`${start(2, 0, 1000)} ${out(0x61, 0)} mov ecx, 2000\n 1: in_port 0x61\n loop 1b\n ${GATE_OPEN} ${UNTIL_OUTPUT}`)}`,
    );
    // 2,000 reads of a microsecond, and the count.
    about(time!, 1000 + Math.round((2000 * 3000) / CYCLES_A_TICK), 20);
  });

  it('makes a square wave in mode 3, and pulses of a tick in mode 2', () => {
    const half = WHILE_OUTPUT + UNTIL_OUTPUT;
    const [wave] = notes(`${GATE_OPEN} ${start(2, 3, 5000)} ${WHILE_OUTPUT} ${timed(UNTIL_OUTPUT)}`);
    about(wave!, 2500);
    const [period] = notes(`${GATE_OPEN} ${start(2, 2, 300)} ${half} ${timed(half)}`);
    assert.equal(
      Math.round(period! / CYCLES_A_TICK) % 300 <= 3 || Math.round(period! / CYCLES_A_TICK) % 300 >= 297,
      true,
    );
  });

  it('counts down: latched, by low and high byte, in BCD, beyond 0 in mode 0', () => {
    const latch = (counter: number): string => out(COMMAND, counter << 6);
    const [first, again, low, high] = notes(`
      ${out(COMMAND, 0x90)} ${GATE_OPEN} ${out(0x42, 200)} ${latch(2)}
      mov ecx, 100
      1: in_port 0x61
      loop 1b
      ${read(0x42)} ${latch(2)} ${read(0x42)}
      ${start(2, 0, 0x1234)} ${out(0x61, 0)} ${latch(2)} ${read(0x42)} ${read(0x42)}`);
    assert.ok(first! > 190 && first! <= 200, `${first}`);
    assert.ok(again! < 100, `${again}`);
    // The gate went low a few ticks after the count was written.
    const value = low! | (high! << 8);
    assert.ok(value <= 0x1234 && value > 0x1220, value.toString(16));
    const [bcdLow, bcdHigh] = notes(`${out(0x61, 0)} ${start(2, 0, 0x1000, 1)} ${read(0x42)} ${read(0x42)}`);
    assert.deepEqual([bcdLow, bcdHigh], [0, 0x10]);
    const [wrapped] = notes(
      `${GATE_OPEN} ${start(2, 0, 4)} ${UNTIL_OUTPUT} mov ecx, 20\n 1: in_port 0x61\n loop 1b\n ${latch(2)} in_port 0x42\n ${read(0x42)}`,
    );
    assert.equal(wrapped, 0xff);
  });

  it('reads back status and counts of several counters at once', () => {
    const found = notes(`
      ${out(0x61, 0)} ${start(2, 0, 0x1234)} ${start(1, 2, 0x20)}
      ${out(COMMAND, READ_BACK | 0x0c)}
      ${read(0x42)} ${read(0x42)} ${read(0x42)}
      ${out(COMMAND, READ_BACK | 0x20 | 0x04)} ${read(0x41)}`);
    // Status first: output low, both bytes, mode 0; then the count.
    assert.deepEqual(found.slice(0, 3), [0x30, 0x34, 0x12]);
    // Counter 1: the status of the first command is read before that of the second, which is ignored.
    assert.equal(found[3]! & 0x3f, 0x34);
  });

  it('interrupts by input 0 of the 8259s with each period of counter 0', () => {
    const found = notes(
      `gate 8, tick\n xor ebx, ebx\n ${start(0, 2, 1193)} sti\n 1: hlt\n cmp ebx, 4\n jb 1b\n cli\n jmp over\n ${TICK} over:`,
    );
    assert.deepEqual(ticksBetween(found), [1193, 1193, 1193]);
  });

  it('interrupts a kernel that computes, too, and goes on from period to period without drift', () => {
    const found = notes(
      `gate 8, tick\n xor ebx, ebx\n ${start(0, 3, 100)} sti\n 1: cmp ebx, 5\n jb 1b\n cli\n jmp over\n ${TICK} over:`,
    );
    assert.deepEqual(ticksBetween(found), [100, 100, 100, 100]);
  });

  it('takes a new count with the next period', () => {
    const found = notes(`
      gate 8, tick\n xor ebx, ebx\n ${start(0, 2, 1000)} sti\n hlt\n ${out(0x40, 0xf4)} ${out(0x40, 1)}
      1: hlt\n cmp ebx, 4\n jb 1b\n cli\n jmp over\n ${TICK} over:`);
    assert.deepEqual(ticksBetween(found), [1000, 500, 500]);
  });

  it('interrupts once in mode 0; after that a kernel that halts does so for good', () => {
    const run = startSource(`main: gate 8, tick\n ${start(0, 0, 5000)} sti\n 1: hlt\n jmp 1b\n ${TICK}`);
    assert.equal(run.machine.run(1e6).kind, 'deadlock');
    assert.equal(results(run).notes.length, 1);
  });

  it('wakes nobody by an input that is masked', () => {
    const { machine } = startSource(`main: ${start(0, 2, 1000)} ${out(0x21, 1)} sti\n hlt\n finish 1`);
    assert.equal(machine.run(1e6).kind, 'deadlock');
  });

  it('interrupts by input 2 of the I/O APIC', () => {
    const found = notes(`
      ${out(0x21, 0xff)} ${out(0xa1, 0xff)} apic 0xf0, 0x1ff\n gate 0x50, tick\n xor ebx, ebx
      ioapic 0x15, 0\n ioapic 0x14, 0x50
      ${start(0, 2, 2000)} sti\n 1: hlt\n cmp ebx, 3\n jb 1b\n cli\n jmp over
      tick: rdtsc\n note eax\n inc ebx\n apic 0xb0, 0\n iret
      over:`);
    assert.deepEqual(ticksBetween(found), [2000, 2000]);
  });

  it('shows the refresh of memory at port 61h, 15 microseconds a change', () => {
    const [time] = notes(
      timed(
        'mov ecx, 20\n 1: in_port 0x61\n mov bl, al\n 2: in_port 0x61\n xor al, bl\n test al, 0x10\n jz 2b\n loop 1b\n',
      ),
    );
    about(time!, 20 * 18);
  });

  it('is part of a snapshot', () => {
    const source = `main: gate 8, tick\n xor ebx, ebx\n ${start(0, 2, 2000)} sti\n 1: cmp ebx, 3\n jb 1b\n cli\n finish 0\n ${TICK}`;
    const run = startSource(source);
    run.machine.run(10_000);
    const snapshot = run.machine.snapshot();
    finish(run.machine, () => 1e7, 1e9);
    const digest = run.machine.digest();
    run.machine.restore(snapshot);
    finish(run.machine, () => 1e7, 1e9);
    assert.equal(run.machine.digest(), digest);
    assert.equal(results(run).notes.length, 3);
  });
});

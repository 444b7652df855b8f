/** The small devices and ports as a kernel sees them: serial port, fw-cfg, CMOS, debug exit, resets, what nobody has. */
import assert from 'node:assert/strict';
import { bootSource, results, startSource } from './board-test-support.ts';
import { finish } from '../../test/machine/support.ts';

const out = (port: number, value: number): string => `port ${port}, ${value}\n`;
const get = (port: number): string => `in_port ${port}\n note eax\n`;
const notes = (source: string): number[] => bootSource(`main:\n${source}\n finish 0`).notes;
const text = (words: string): string => [...words].map((one) => out(0x3f8, one.charCodeAt(0))).join('');

describe('the serial port', () => {
  it('prints what is sent, also what no newline ends, in the order of everything else', () => {
    const run = startSource(`main:\n${text('a\nprompt> ')}\n mov ecx, 300000\n 1: loop 1b\n finish 0`);
    run.machine.run(100_000);
    assert.equal(run.text(), 'a\nprompt> ');
    assert.deepEqual(finish(run.machine), { kind: 'exited', status: 0 });
    assert.equal(run.text(), 'a\nprompt> ');
  });

  const waits: readonly (readonly [string, string])[] = [
    ['sleeps', 'apic 0xf0, 0x1ff\n apic 0x320, 0x20040\n apic 0x380, 5000\n gate 0x40, tick\n sti\n 1: hlt\n jmp 1b'],
    ['polls for input', 'mov edx, 0x3fd\n 1: in al, dx\n test al, 1\n jz 1b\n hlt'],
  ];
  for (const [what, wait] of waits)
    it(`prints what no newline ends before the kernel ${what}`, () => {
      let at = 0;
      let text = '';
      const { machine } = startSource(
        `main: ${[...'go> '].map((one) => out(0x3f8, one.charCodeAt(0))).join('')} ${wait}
        tick: apic 0xb0, 0
        iret`,
        {
          output: (_fd, data) => {
            text += Buffer.from(data).toString();
            at = machine.stats().instructions;
          },
        },
      );
      machine.run(100_000);
      assert.equal(text, 'go> ');
      assert.ok(at < 200, `printed after ${at} instructions`);
    });

  it('is a 16550: line status, scratch, FIFO, divisor behind DLAB', () => {
    const found = notes(
      get(0x3fd) +
        out(0x3ff, 0x5a) +
        get(0x3ff) +
        out(0x3fa, 1) +
        get(0x3fa) +
        out(0x3fb, 0x83) +
        out(0x3f8, 0x34) +
        out(0x3f9, 0x12) +
        get(0x3f9) +
        out(0x3fb, 3) +
        get(0x3f9) +
        get(0x3fb),
    );
    assert.deepEqual(found, [0x60, 0x5a, 0xc1, 0x12, 0, 3]);
  });

  it('gives back in loopback what it sends, and interrupts on IRQ 4', () => {
    const { notes: found, text: printed } = bootSource(`main:
      gate 12, serial
      ${out(0x3fc, 0x10)} ${out(0x3f9, 1)}
      sti
      ${out(0x3f8, 0x41)} nop
      cli
      ${get(0x3fd)}
      finish 0
      serial: ${get(0x3fa)} ${get(0x3f8)} ${out(0x20, 0x20)} iret`);
    assert.deepEqual(found, [4, 0x41, 0x60]);
    assert.equal(printed(), '');
  });

  it('interrupts when its transmitter is empty, until that is read', () => {
    const { notes: found } = bootSource(`main:
      gate 12, serial
      sti
      ${out(0x3f9, 2)} nop
      ${out(0x3f8, 0x42)} nop
      cli
      ${get(0x3fa)}
      finish 0
      serial: ${get(0x3fa)} ${out(0x20, 0x20)} iret`);
    assert.deepEqual(found, [2, 2, 1]);
  });

  it('receives what is typed', () => {
    const run = startSource(`main:
      gate 12, serial
      ${out(0x3f9, 1)}
      sti
      1: hlt
      jmp 1b
      serial: ${get(0x3f8)} ${out(0x20, 0x20)}
      cmp dword ptr ds:[0x300020], 10
      jne 2f
      finish 0
      2: iret`);
    assert.equal(run.machine.run(1e6).kind, 'deadlock');
    run.machine.input(new TextEncoder().encode('hi\nx\n'));
    assert.deepEqual(finish(run.machine), { kind: 'exited', status: 0 });
    assert.deepEqual(
      results(run)
        .notes.map((one) => String.fromCharCode(one))
        .join(''),
      'hi\nx\n',
    );
  });
});

describe('fw-cfg', () => {
  const item = (key: number, bytes: number): string =>
    `mov edx, 0x510\n mov eax, ${key}\n out dx, ax\n` + get(0x511).repeat(bytes);
  const found = (source: string, options = {}): number[] => bootSource(`main:\n${source}\n finish 0`, options).notes;

  it('has a signature, the number of processors and the size of memory', () => {
    assert.equal(String.fromCharCode(...found(item(0, 4))), 'QEMU');
    assert.deepEqual(found(item(5, 2) + item(0xf, 2), { cpus: 3 }), [3, 0, 3, 0]);
    assert.deepEqual(found(item(3, 8), { memory: 48 << 20 }), [0, 0, 0, 3, 0, 0, 0, 0]);
  });

  it('begins again with each selection, and has nothing where there is nothing', () => {
    assert.deepEqual(found(item(5, 1) + item(5, 1) + item(0x1234, 2)), [1, 1, 0, 0]);
  });
});

describe('CMOS', () => {
  const read = (register: number): string => out(0x70, register) + get(0x71);

  it('has the time, from the first of January 2024, in BCD and in binary', () => {
    assert.deepEqual(notes([9, 8, 7, 6, 4, 2, 0x32].map(read).join('')), [0x24, 1, 1, 2, 0, 0, 0x20]);
    assert.deepEqual(notes(out(0x70, 0xb) + out(0x71, 6) + read(9) + read(0x32)), [24, 20]);
  });

  it('tells memory: below 640 KB, above 1 MB, above 16 MB', () => {
    const found = notes([0x15, 0x16, 0x17, 0x18, 0x34, 0x35].map(read).join(''));
    assert.deepEqual(found, [0x80, 2, 0x00, 0x7c, 0, 1]);
  });

  it('lets the time pass with the processor', () => {
    const found = notes(`apic 0xf0, 0x1ff\n gate 0x40, tick\n apic 0x320, 0x40\n apic 0x3e0, 0xa\n ${read(0)}
      mov ebx, 2
      1: apic 0x380, 50000000   # times 128: 2.1 s
      sti
      hlt
      cli
      dec ebx
      jnz 1b
      ${read(0)}
      jmp over
      tick: apic 0xb0, 0
      iret
      over:`);
    assert.deepEqual(found, [0, 4]);
  });
});

describe('ports', () => {
  it('nobody has read all ones and swallow writes', () => {
    assert.deepEqual(
      notes('mov edx, 0x1234\n in eax, dx\n note eax\n out dx, eax\n in ax, dx\n note eax\n' + get(0x1234)),
      [0xffffffff, 0xffffffff, 0xff],
    );
  });

  it('E0h to E3h keep what is written, in any width', () => {
    const found = notes(`
      mov edx, 0xe0
      mov eax, 0x11223344
      out dx, eax
      ${get(0xe1)}
      mov edx, 0xe2
      mov eax, 0x5566
      out dx, ax
      mov edx, 0xe0
      in eax, dx
      note eax`);
    assert.deepEqual(found, [0x33, 0x55663344]);
  });

  it('the debug exit ends the machine with its status', () => {
    assert.equal(bootSource('main: finish 42').status, 42);
  });

  const resets: readonly (readonly [string, string])[] = [
    ['the keyboard controller', out(0x64, 0xfe)],
    ['port 92h', out(0x92, 1)],
    ['port CF9h', out(0xcf9, 6)],
    ['"Shutdown" at port 8900h', [...'ShutShutdown'].map((one) => out(0x8900, one.charCodeAt(0))).join('')],
  ];
  for (const [what, how] of resets)
    it(`a reset by ${what} ends it with 0`, () => {
      const { status, notes: found } = bootSource(`main: note 1\n ${how} note 2\n finish 9`);
      assert.deepEqual([status, found], [0, [1]]);
    });

  it('a triple fault ends it with 134, and is explained', () => {
    const run = startSource('main: lidt [nothing]\n int3\n nothing: .word 0\n .long 0');
    assert.deepEqual(finish(run.machine), { kind: 'exited', status: 134 });
    assert.match(run.machine.explanation(1)!.headline, /shut down/);
  });
});

describe('physical addresses without memory', () => {
  it('read all ones; 64 KB at FF000000h are memory reached like a device', () => {
    const found = notes(`
      mov eax, dword ptr ds:[0xe0000000]
      note eax
      mov dword ptr ds:[0xe0000000], 1
      mov dword ptr ds:[0xff00fff8], 0x12345678
      mov ax, word ptr ds:[0xff00fff9]
      movzx eax, ax
      note eax
      xor dword ptr ds:[0xff00fff8], 0x78
      mov eax, dword ptr ds:[0xff00fff8]
      note eax`);
    assert.deepEqual(found, [0xffffffff, 0x3456, 0x12345600]);
  });
});

/** A kernel whose 32-bit boot code our own assembler and linker make, on the bare board. */
import { strict as assert } from 'node:assert';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadAssets } from '../../debug-adapter/hosting/node/assets.ts';
import { nodeHostFiles } from '../../debug-adapter/hosting/node/host-files.ts';
import { assembleObject } from '../../emulator/assembler/index.ts';
import { link } from '../../emulator/linker/link.ts';
import { createMachine } from '../../emulator/machine/machine.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/bare-timer', import.meta.url));
const FLAGS = ['-O1', '-ffreestanding', '-fno-pie', '-fno-stack-protector', '-mno-red-zone', '-mgeneral-regs-only'];

/** A kernel without C: says one letter on the serial port in each mode, and ends. */
const MODES = `
    .text
    .code32
    .balign 4
    .long 0x1badb002, 0, -0x1badb002
    .globl _start
_start:
    movl $stack, %esp
    movw $0x3f8, %dx
    movb $'3', %al
    outb %al, %dx
    # Real mode begins in a copy below 64 KB.
    movl $sixteen, %esi
    movl $0x7000, %edi
    movl $sixteen_end - sixteen, %ecx
    rep movsb
    lgdt pointer
    ljmp $24, $0x7000
back:
    movl $16, %eax
    movl %eax, %ds
    movb $'B', %al
    outb %al, %dx
    movl $(3 << 1), %eax
    movw $0xf4, %dx
    outl %eax, %dx
1:  hlt
    jmp 1b

    .code16
sixteen:
    movl %cr0, %eax
    andb $~1, %al
    movl %eax, %cr0
    ljmp $0, $0x7000 + real - sixteen
real:
    xorw %ax, %ax
    movw %ax, %ds
    movw $0x7000 + letter - sixteen, %si
    lodsb
    outb %al, %dx
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $8, $back
letter: .byte 'R'
sixteen_end:

    .section .rodata
    .balign 8
table:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00009b000000ffff
pointer:
    .word . - table - 1
    .long table
    .bss
    .skip 4096
stack:
`;

function run(image: Uint8Array): { output: string; status: number } {
  let output = '';
  const machine = createMachine(loadAssets(), {
    machine: 'bare',
    program: { path: 'kernel', image },
    ...{ args: [], env: [], cwd: '/', grants: [], files: nodeHostFiles, syscalls: 'modern', physBits: 46 },
    ...{ cpus: 1, memory: 32 << 20, seed: 1, aslr: false },
    output: (_fd, data) => (output += Buffer.from(data).toString('latin1')),
  });
  for (let turn = 0; turn < 1000; turn++) {
    const stop = machine.run(1e7);
    if (stop.kind === 'budget') continue;
    assert.equal(stop.kind, 'exited');
    return { output, status: stop.status };
  }
  return assert.fail('the kernel does not end');
}

function assemble(name: string, text: string): Uint8Array {
  const { object, diagnostics } = assembleObject(name, text, {
    include: (path) => readFileSync(join(EXAMPLE, path), 'utf8'),
  });
  assert.deepEqual(diagnostics, []);
  return object!;
}

describe('boot code of our own assembler', function () {
  this.timeout(60_000);

  it('goes from protected to real mode and back', () => {
    const { output } = run(link([{ name: 'boot.o', bytes: assemble('boot.s', MODES) }]));
    assert.equal(output, '3RB');
  });

  it('boots the example written in C', function () {
    if (spawnSync('gcc', ['--version']).status !== 0) return this.skip();
    const folder = mkdtempSync(join(tmpdir(), 'dune-debug-boot-'));
    try {
      const kernel = join(folder, 'kernel.o');
      execFileSync('gcc', [...FLAGS, '-c', '-o', kernel, join(EXAMPLE, 'kernel.c')]);
      const boot = assemble('boot.S', readFileSync(join(EXAMPLE, 'boot.S'), 'utf8'));
      const image = link([
        { name: 'boot.o', bytes: boot },
        { name: 'kernel.o', bytes: readFileSync(kernel) },
      ]);
      assert.deepEqual(run(image), { output: readFileSync(join(EXAMPLE, 'expected.txt'), 'utf8'), status: 3 });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

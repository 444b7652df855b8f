/** Sources of boot code, 16, 32 and 64 bits mixed, against GNU as: the same bytes and relocations. */
import assert from 'node:assert/strict';
import { GnuAs, hasGnuAs } from './gnu-test-support.ts';
import { assembleObject } from './index.ts';

const BOOT = `
    .code32
    .balign 4
    .long 0x1badb002, 0, -0x1badb002
    .globl _start
_start:
    movl $stack_top, %esp
    movl $(pdpt + 3), pml4
    loop 1f
    jmp far_away
    jc far_away
    call sub
1:  pushl gdt_pointer
    ljmp $8, $long_mode
    ljmp $8, $0x1234
    ljmp *pml4
    data16 ljmp *pml4
    data16 ljmp $8, $0x1234
    jecxz 1b
    jcxz 1b
    call *%eax
    .p2align 4
    .intel_syntax noprefix
    mov eax, [ebx+esi*4+8]
    mov ax, [bx+si]
    mov ax, [si+bx+3]
    mov eax, gdt_pointer
    mov eax, dword ptr fs:[0x10]
    mov eax, offset gdt_pointer
    jmp [eax]
    call dword ptr [eax]
    push 5
    pop ds
    lgdt [gdt_pointer]
    jmp far_away
    .att_syntax
    .code16
real:
    cli
    mov $0x10, %ax
    mov %ax, %ds
    jmp 1f
    jmp far_away
    jne far_away
    call sub
    call other
    jmp other
    jne other
    .skip 200
1:  lgdtl gdt_pointer
    lgdt %cs:gdt_pointer-real
    sidtl pml4
    movl %cr0, %eax
    or $1, %al
    ljmpl $8, $1b
    ljmp $8, $1b
    data32 ljmp $8, $1b
    int $0x10
    movb $'a', %al
    lea 1b, %si
    lodsb
    .word 1b, 1b - real
    .long 1b
    mov %es:(%di), %al
    jmp *4(%bx)
    .code64
sub: ret
long_mode:
    movl $16, %eax
    .p2align 3
    jmp 1b
    .skip 300
far_away:
    .code32
    .p2align 6
    call far_away
    jmp real
    aam
    aad $3
    .section .rodata
gdt_pointer:
    .word . - gdt_pointer - 1
    .long gdt_pointer
    .bss
pml4: .skip 4096
pdpt: .skip 8192
stack_top:
`;

/** Jumps of all kinds over random distances. */
function jumps(seed: number, bits: 16 | 32): string {
  let state = seed >>> 0;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const kinds = ['jmp', 'jne', 'jg', 'call', 'jmp', 'jb'];
  const lines = [`.code${bits}`];
  for (let i = 0; i < 300; i++) {
    lines.push(`l${i}: ${kinds[below(kinds.length)]} l${below(300)}`);
    if (below(3) === 0) lines.push(` .skip ${below(40)}`);
    if (below(10) === 0) lines.push(` .p2align ${below(5)}`);
    if (below(20) === 0) lines.push(` ${kinds[below(kinds.length)]} elsewhere`);
  }
  return `${lines.join('\n')}\n`;
}

describe('assembler: 16- and 32-bit code', function () {
  this.timeout(60_000);
  const gnu = new GnuAs();
  before(function () {
    if (!hasGnuAs) this.skip();
  });
  after(() => gnu.dispose());

  const check = (source: string): void => {
    const { object, diagnostics } = assembleObject('source.s', source);
    assert.deepEqual(diagnostics, []);
    const ours = gnu.sectionsOf(object!);
    for (const [name, want] of gnu.object(source)) {
      const got = ours.get(name)!;
      assert.equal(Buffer.from(got.bytes).toString('hex'), Buffer.from(want.bytes).toString('hex'), name);
      assert.deepEqual(got.relocations.sort(), want.relocations.sort(), name);
    }
  };
  it('assembles boot code of all modes', () => check(BOOT));
  it('has jumps out of the section long from the first pass on', () => {
    for (let round = 0; round < 20; round++) check(jumps(87194303 + round, 16));
  });
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
  for (const bits of [16, 32] as const)
    it(`makes jumps of ${bits}-bit code as short as GNU as does (SEED=${seed})`, () => {
      for (let round = 0; round < 20; round++) check(jumps(seed + round, bits));
    });
});

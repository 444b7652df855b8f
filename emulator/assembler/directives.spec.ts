/** Small sources whose directives make the assembler write sections itself, against GNU as: the same bytes and relocations. */
import assert from 'node:assert/strict';
import { GnuAs, hasGnuAs } from './gnu-test-support.ts';
import { assembleObject } from './index.ts';

const CASES: Readonly<Record<string, string>> = {
  '.loc: registers keep what is not said': `
    .file 1 "sub/x.c"
    .file 2 "/abs/d/y.c"
    .text
    .loc 1 5 7
    nop
    .loc 1 6
    nop
    .loc 2 8 3 is_stmt 0 discriminator 3
    .loc 2 9 prologue_end
    nop
    .data
    .loc 1 3
    .text
    nop
    .loc 1 7`,
  '.loc: options, jumps, space': `
    .file 1 "x.h"
    .text
    .loc 1 0
    nop
    .loc 1 3
    nop
    .loc 1 4 basic_block epilogue_begin isa 2
    .loc 1 3 prologue_end is_stmt 0 view -0
    .loc 1 9
    .skip 3
    .loc 1 10
    .balign 64
    .loc 1 11
    ret
    jmp 1f
    .loc 1 12
    nop
    .skip 400
  1: .loc 1 13
    nop
    .skip 300`,
  '.loc: views that begin anew': `
    .file 1 "x"
    .text
    .loc 1 3
    nop
    .p2align 4
    .loc 1 5 view -0
    nop
    .loc 1 6
    jmp 2f
    .loc 1 7 view .LV
    .p2align 4
    .loc 1 7 view -0
    .byte .LV
  2: .loc 1 8
    .skip x-y
    .loc 1 13 view -0
    nop
  y: nop
  x:`,
  'references to the global offset table that a linker may relax': `
    mov foo@GOTPCREL(%rip),%rax
    mov foo@GOTPCREL(%rip),%eax
    call *foo@GOTPCREL(%rip)
    lea foo@GOTPCREL(%rip),%rax
    addl foo@GOTPCREL(%rip),%r9d
    mov %rax,foo@GOTPCREL(%rip)
    cmpq $1,foo@GOTPCREL(%rip)
    test %eax,foo@GOTPCREL(%rip)
    jmp *foo@GOTPCREL(%rip)
    movss foo@GOTPCREL(%rip),%xmm0
    mov foo@GOTPCREL(%rip),%al
    mov foo@GOTPCREL(%rip),%ax
    push foo@GOTPCREL(%rip)
    mov foo@GOTPCREL+4(%rip),%rax
    mov foo@GOTPCREL(%rax),%eax
    sub foo@GOTPCREL(%rip),%rax`,
  'gaps in code': [76, 87, 88, 129, 130, 254].map((gap) => `.p2align 8\n.skip ${256 - gap}, 0xcc`).join('\n'),
  'immediates of 64 bits that are negative': `
    and $0xfffffffffffffff0, %rsi
    add $0xffffffff80000000, %rax
    cmpq $0xffffffffffffff80, (%rax)`,
  precedences: `
    .byte 3 == 1 + 2, 1 << 2 | 3, 5 - 2 < 4, 4 > 5 - 2, 1 || 0 && 0, 3 <> 4, 10 ! 3, 2 + 3 * 4, -1 & 7 + 1, 1 + 2 == 3 && 4`,
  'a space after the backslash of a parameter': `
    .macro m f
    call \\ f@PLT
    .endm
    m g`,
  'spaces in arguments': `
    .macro s a, b, c, d, e, f
    .asciz "[\\a|\\b|\\c|\\d|\\e|\\f]"
    .endm
    s 1 + 2 3
    s 1 +2 3
    s 1 - 2 3
    s -1 -2
    s 4 * 2, 6 / 3 % 2
    s 1 << 2 5 & ~ 3
    s (a + b) - (c) d
    s (a b) c [d e] f
    s (a, b) c
    s -8 ( %rax , %rbx ) , 3
    s $ 5 %gs : 0 foo @ plt
    s a 	+	b , , {k1} {z}
    s "x + y" z
    .macro outer a, b
    s \\a c \\b
    s (\\a) \\b
    .endm
    outer "x + y" "z  -w"
    .macro v a, rest:vararg
    .asciz "[\\a|\\rest]"
    s \\rest
    .endm
    v 1, 2 + 3 , 4  (5) , z   w
    v (1, 2) 3
    .irp x, a + b, c - d, (e f) g, (h,i)
    .asciz "<\\x>"
    .endr
    .irpc x, a + b
    .asciz "{\\x}"
    .endr
    .macro defaults a=1 + 2, b=(3 + 4)
    .asciz "[\\a|\\b]"
    .endm
    defaults
    defaults b = 7 + 8, a = 9
  `,
  '.altmacro: arguments': `
    .altmacro
    .macro m x, y
    .byte x, y
    .ascii "x&y\\y x"
    .endm
    x=4
    m 1, %2+3
    m <4>, %(5*2)
    m %x*2, %x+1
    m %x ,3
    m 1+2 3
    m %0-1, %x/-2
    .macro list a=<1,2>, b=%3+4
    .byte a, b
    .endm
    list
    list 5,
    list ,6
    list <1,2,3>, <1!!2>
    .macro text a, b
    .ascii a
    .asciz "b&|&b \\b"
    .endm
    text "x!!y", <p!>q>
    text <"<z>">, <c d>
    .irp a,<1,2>,3
    .byte a
    .endr
    .irpc a,12
    .byte a, \\a
    .endr
    .noaltmacro
    .macro plain a, b
    .byte \\a, \\b
    .endm
    plain b=7 a=8`,
  '.altmacro: names in a body, LOCAL': `
    .altmacro
    .macro m a
    LOCAL lab, lab2
    .quad lab2-lab, lab
  lab: .ascii "&a a& a \\a&1"
    nop
  lab2: .byte 'a, \\@
    local c d
  c: jmp d
  d: .long c-lab
  l&a: .byte 1
  k_&a&_l: .byte 1
  x.a: .byte x.a-l&a
    .purgem m
    .macro m b
    .byte a, b
    .endm
    .endm
    m 3
    m 4
    .macro down a
    .if a > 1
    .byte a
    down %a-1
    .endif
    .endm
    down 4`,
  '.dc': `
    .dc.a x, 3, x-4
    .dc.b 1, 2
    .dc.w 2
    .dc 2
    .dc.l 3
    .dc.s 1.5, -0.1
    .dc.d 2.5
    .dc.x 3.5`,
  '.ds, .dcb': `
    .ds 3
    .ds.b 3, 1
    .ds.w 2, 0x1234
    .ds.l 2, 0x12345678
    .ds.s 2
    .ds.d 2, 5
    .ds.p 1
    .ds.x 2
    .ds.x 1, 3
    .dcb 2, 7
    .dcb.b 3, 1
    .dcb.w 2, 0x1234
    .dcb.l 2, 0x12345678
    .dcb.s 2, 1.5
    .dcb.d 2, 2.5
    .dcb.x 1, 3.5
    .dcb.b 3
    .ds.w 2, -2
    .dcb.l 2
    .dcb.w 2, -1
    .ds.d 1, 0x123456789abcdef
    .dcb.d 0, 1
    .ds.b 4200, 7
    .ds.x 420, 7`,
  '.cfi: every instruction': `
    .text
    .globl f
    .type f,@function
  f: .cfi_startproc
    push %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset 6, -16
    mov %rsp,%rbp
    .cfi_def_cfa_register %rbp
    call g
    .cfi_remember_state
    pop %rbp
    .cfi_def_cfa %rsp, 8
    .cfi_restore rbp
    ret
    .cfi_restore_state
    leave
    .cfi_adjust_cfa_offset -8
    .cfi_rel_offset %rbx, 8
    .cfi_undefined rip
    .cfi_same_value 3
    .cfi_register 3, 4
    .cfi_val_offset 3, -24
    .cfi_escape 0x0f, 3, 0x77, 0x08, 6
    .cfi_val_offset 3, 24
    .cfi_offset 3, 24
    .cfi_offset %xmm15, -48
    .cfi_offset %mxcsr, -48
    .cfi_restore %mxcsr
    .cfi_def_cfa_offset -8
    .cfi_def_cfa 3,-8
    .cfi_return_column 15
    .cfi_signal_frame
    .cfi_window_save
    ret
    .cfi_endproc
    .size f,.-f
  g: .cfi_startproc simple
    .cfi_personality 0x9b, DW.ref.pers
    .cfi_lsda 0x1b, .LLSDA0
    .cfi_sections .eh_frame, .debug_frame
    .cfi_def_cfa 7,8
    .skip 300,0x90
    .cfi_def_cfa_offset 16
    .skip 70000
    .cfi_def_cfa_offset 24
    ret
    .cfi_endproc
  h: .cfi_startproc
    .cfi_personality 0x3, p
    .cfi_lsda 0x3, .LLSDA0
    ret
    .cfi_endproc
  i: .cfi_startproc
    .cfi_personality 0x3, q
    .cfi_lsda 0xff
    jmp 1f
    .cfi_adjust_cfa_offset 8
    .skip 100
  1: .cfi_adjust_cfa_offset 8
    .p2align 4
    .cfi_adjust_cfa_offset 8
    ret
    .cfi_endproc
    .section .text.unlikely, "ax"
  j: .cfi_startproc
    .cfi_personality 0x3, q
    ret
    .cfi_endproc
    .data
  .LLSDA0: .quad 0`,
  '.file of DWARF 5': `
    .file 0 "/d" "s/a.c"
    .file 1 "/q" "/e/y.h" md5 0x0123456789abcdef0011223344556677
    .file 2 "/q" "g/y.h" md5 0x1123456789abcdef0011223344556677
    .file 3 "/d/g/z.h" md5 0x2123456789abcdef0011223344556677
    .file 4 "h/z.h" md5 0x3123456789abcdef0011223344556677
    .file 5 "s/a.c" md5 0x4123456789abcdef0011223344556677
    .text
    .loc 1 2
    nop
    .section .text.b, "ax"
    .loc 5 2
    nop`,
};

/** Made by GNU as of the instructions it saw, or a unit of its own making. */
const NOT_OURS = /^\.(note\.gnu\.property|debug_(info|abbrev|aranges|str|rnglists))$/;

describe('assembler: directives', () => {
  const gnu = new GnuAs();
  before(function () {
    if (!hasGnuAs) this.skip();
  });
  after(() => gnu.dispose());

  for (const [name, source] of Object.entries(CASES))
    it(name, () => {
      const { object, diagnostics } = assembleObject('source.s', `${source}\n`);
      assert.deepEqual(diagnostics, []);
      const ours = gnu.sectionsOf(object!);
      for (const [section, want] of gnu.object(`${source}\n`)) {
        if (NOT_OURS.test(section)) continue;
        const got = ours.get(section);
        assert.equal(hex(got?.bytes), hex(want.bytes), section);
        assert.deepEqual(got!.relocations, want.relocations, section);
      }
    });
});

function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString('hex').replace(/(.{32})/g, '$1\n'); // prettier-ignore
}

/** Real mode, against the SDM (3B 21.1): segments, stack, interrupts, limits; and a start that goes through all modes and back. */
import assert from 'node:assert/strict';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import { CODE, Gdt, STACK, createRealMachine } from './legacy-test-support.ts';
import type { LegacyMachine } from './legacy-test-support.ts';

const [AX, CX, DX, BX, SP, , SI, DI] = [0, 1, 2, 3, 4, 5, 6, 7];

/** Handlers at 0:600h + 8n that put n into DL and halt. */
function run(source: string, prepare: (machine: LegacyMachine) => void = () => {}): LegacyMachine {
  const machine = createRealMachine(source);
  for (let vector = 0; vector < 32; vector++) {
    machine.write32(vector * 4, 0x600 + vector * 8);
    machine.context.physical.write(0x600 + vector * 8, Uint8Array.of(0xb2, vector, 0xf4));
  }
  prepare(machine);
  machine.run();
  return machine;
}
const low = (machine: LegacyMachine, register: number): number => machine.gpr(register) & 0xffff;
/** Vector that a handler saw, and IP of the frame. */
function fault(source: string, prepare?: (machine: LegacyMachine) => void): [vector: number, ip: number] {
  const machine = run(`mov dl, 0xff\n ${source}\n hlt`, prepare);
  return [machine.gpr(DX) & 0xff, machine.words(machine.gpr(SP) & 0xffff, 1)[0]!];
}

describe('real mode', () => {
  it('takes a selector times 16 as the base', () => {
    const machine = run(
      'mov ax, 0x1234\n mov ds, ax\n mov es, ax\n mov bx, 0x5678\n mov word ptr [bx], 0xbeef\n mov cx, es:[bx]\n hlt',
    );
    assert.equal(low(machine, CX), 0xbeef);
    assert.deepEqual(machine.words(0x12340 + 0x5678, 1), [0xbeef]);
    assert.deepEqual(machine.context.cpu.segment(Segment.DS), {
      selector: 0x1234,
      base: 0x12340n,
      limit: 0xffff,
      rights: 0x93,
    });
  });

  it('delivers INT n through the vector table and returns by IRET', () => {
    const machine = run(
      `sti\n std\n int 0x40\n after: mov cx, 7\n hlt
       handler: pushf\n pop ax\n mov bx, sp\n mov si, [bx]\n mov di, [bx + 4]\n iret`,
      (m) => m.write32(0x40 * 4, m.symbols.get('handler')!),
    );
    assert.equal(low(machine, CX), 7);
    assert.equal(low(machine, SI), machine.symbols.get('after'));
    assert.equal(low(machine, DI) & 0x700, 0x600, 'IF and DF are pushed');
    assert.equal(low(machine, AX) & 0x700, 0x400, 'IF is clear in the handler, DF stays');
    assert.equal(low(machine, SP), STACK);
    assert.equal(machine.context.mem.get32(L.SYSTEM_FLAGS) & 0x600, 0x600);
  });

  it('pushes FLAGS, CS and IP of the faulting instruction and no error code', () => {
    const machine = run(`jmp 0x100:${CODE - 0x1000 + 5}\n xor cx, cx\n here: div cx`);
    assert.equal(machine.gpr(DX) & 0xff, 0);
    const [ip, cs, flags] = machine.words(low(machine, SP), 3);
    assert.deepEqual([ip, cs], [machine.symbols.get('here')! - 0x1000, 0x100]);
    assert.equal(flags! & 2, 2);
    assert.equal(low(machine, SP), STACK - 6);
  });

  const faults: readonly (readonly [string, string, number])[] = [
    ['a word at offset FFFFh', 'mov bx, 0xffff\n here: mov ax, [bx]', 13],
    ['a word on the stack at FFFFh', 'mov sp, 1\n here: push ax', 12],
    ['an offset above 64 KB', 'mov ebx, 0x10000\n here: mov al, [ebx]', 13],
    ['LAR', 'here: lar ax, bx', 6],
    ['LSL', 'here: lsl ax, bx', 6],
    ['VERR', 'here: verr ax', 6],
    ['LLDT', 'here: lldt ax', 6],
    ['LTR', 'here: ltr ax', 6],
    ['SLDT', 'here: sldt ax', 6],
    ['STR', 'here: str ax', 6],
    ['ARPL', 'here: arpl ax, bx', 6],
    ['a VEX prefix', 'here: .byte 0xc4, 0xe2, 0x60, 0xf2, 0xc1', 6],
    ['SYSENTER', 'here: sysenter', 13],
    ['a jump out of the segment', 'here: .byte 0x66, 0xe9\n .long 0x20000', 13],
    ['BOUND', `mov bx, offset pair\n mov ax, 9\n here: bound ax, [bx]\n hlt\n pair: .word 1, 8`, 5],
  ];
  for (const [what, source, vector] of faults) {
    it(`raises vector ${vector} for ${what}`, () => {
      const machine = createRealMachine(`mov dl, 0xff\n ${source}\n hlt`);
      const here = machine.symbols.get('here');
      // #SS cannot push on the stack that is at fault.
      const fresh = vector === 12 ? (m: LegacyMachine) => m.write32(12 * 4, 0x600 + 12 * 8) : undefined;
      if (vector === 12) {
        const m = run(`mov dl, 0xff\n ${source}\n hlt`, fresh).context;
        assert.equal(m.mem.get32(L.ACTIVITY), 2, 'shutdown: the fault cannot be delivered either');
        return;
      }
      assert.deepEqual(fault(source), [vector, here]);
    });
  }

  const images: readonly (readonly [string, string, string, readonly number[]])[] = [
    ['32-bit', 'data32', '.long 0x37f, 0, 0xffff, 0x5678, 0x1234567, 0xbcde, 0xa000', [0xffff, 0xffff, 0x5678, 0xffff, 0x4567, 0x123, 0xbcde, 0xffff, 0xa000, 0]],
    ['16-bit', '', '.word 0x37f, 0, 0xffff, 0x5678, 0x4567, 0xbcde, 0xa000', [0x5678, 0x4567, 0xbcde, 0xa000]],
  ]; // prettier-ignore
  for (const [name, prefix, image, pointers] of images)
    it(`keeps linear addresses in ${name} FPU environments`, () => {
      const machine = run(`${prefix} fldenv [here]\n ${prefix} fnstenv [0x5000]\n hlt\n here: ${image}`);
      const from = 0x5000 + (name === '32-bit' ? 8 : 6);
      assert.deepEqual(machine.words(from, pointers.length), pointers);
    });

  it('wraps SP at 64 KB', () => {
    const machine = run(
      'mov sp, 2\n mov ax, 0x1111\n mov bx, 0x2222\n push ax\n push bx\n mov cx, sp\n pop si\n pop di\n hlt',
    );
    assert.deepEqual(
      [low(machine, CX), low(machine, SI), low(machine, DI), low(machine, SP)],
      [0xfffe, 0x2222, 0x1111, 2],
    );
    assert.deepEqual(machine.words(0xfffe, 1), [0x2222]);
  });

  it('keeps a limit that protected mode has loaded', () => {
    const machine =
      run(`cli\n lgdt [gdtr]\n mov eax, cr0\n or al, 1\n mov cr0, eax\n mov bx, 8\n mov ds, bx\n and al, 0xfe\n mov cr0, eax
      xor bx, bx\n mov ds, bx\n mov ebx, 0x200000\n mov dword ptr [ebx], 0x12345678\n mov ecx, [ebx]\n hlt
      gdtr: .word 15\n .long gdt\n gdt: .quad 0, 0x00cf93000000ffff`);
    assert.equal(machine.gpr(CX), 0x12345678);
    assert.equal(machine.gpr(DX) & 0xff, 0);
  });

  it('calls far and returns far, by pointers in code and in memory', () => {
    const machine = run(
      `call 0x123:${0x9000 - 0x1230}\n back: call dword ptr [pointer]\n inc cx\n hlt\n pointer: .word ${0x9000 - 0x2340}, 0x234`,
      (m) =>
        // mov si, cs; inc bx; retf
        m.context.physical.write(0x9000, Uint8Array.of(0x8c, 0xce, 0x43, 0xcb)),
    );
    assert.deepEqual([low(machine, BX), low(machine, CX), low(machine, SI), low(machine, SP)], [2, 1, 0x234, STACK]);
  });

  it('goes to protected, long and compatibility mode and back', () => {
    const machine = run(
      `
      cli
      lgdt [gdtr]
      mov eax, cr0
      or eax, 1
      mov cr0, eax
      ljmp ${Gdt.code32}, offset protected
      .code32
      protected:
      mov ax, ${Gdt.data32}
      mov ds, ax
      mov es, ax
      mov ss, ax
      mov esp, 0x12000
      call next32
      next32: pop dword ptr [0x7100]
      mov ax, cs
      mov [0x7104], eax
      mov eax, 0x20
      mov cr4, eax
      mov eax, 0x20000
      mov cr3, eax
      mov ecx, 0xc0000080
      rdmsr
      bts eax, 8
      wrmsr
      mov eax, cr0
      bts eax, 31
      mov cr0, eax
      rdmsr
      mov [0x7108], eax
      ljmp ${Gdt.code64}, offset long
      .code64
      long:
      mov rax, 0x1122334455667788
      mov r9, rax
      mov [0x7110], rax
      lea rbx, [rip + compatible]
      push ${Gdt.code32}
      push rbx
      lretq
      .code32
      compatible:
      mov eax, [0x7114]
      mov [0x7118], eax
      mov eax, cr0
      btr eax, 31
      mov cr0, eax
      mov ecx, 0xc0000080
      rdmsr
      mov [0x711c], eax
      ljmp ${Gdt.code16}, offset sixteen
      .code16
      sixteen:
      mov ax, ${Gdt.data16}
      mov ds, ax
      mov es, ax
      mov ss, ax
      mov eax, cr0
      and al, 0xfe
      mov cr0, eax
      ljmp 0, offset again
      again:
      mov ax, 0x710
      mov ds, ax
      xor ax, ax
      mov ss, ax
      mov sp, 0x7000
      mov ax, cs
      mov [0x20], ax
      mov cx, [4]
      int 0x41
      hlt
      handler: mov si, 0x4141
      iret
      gdtr: .word 0x7f
      .long 0x1000`,
      (m) => {
        const { physical } = m.context;
        m.write32(0x41 * 4, m.symbols.get('handler')!);
        const gdt = [
          0n,
          0x00cf_9a00_0000_ffffn,
          0x00cf_9200_0000_ffffn,
          0x0000_9a00_0000_ffffn,
          0x0000_9200_0000_ffffn,
          0x00af_9a00_0000_ffffn,
        ];
        gdt.forEach((low64, index) => physical.write64(0x1000 + index * 8, low64));
        physical.write64(0x20000, 0x21003n);
        physical.write64(0x21000, 0x22003n);
        physical.write64(0x22000, 0x83n);
      },
    );
    const { context, symbols } = machine;
    const [next, cs32, efer, , wideLow, wideHigh, seen, eferAfter] = machine.dwords(8, 0x7100);
    assert.equal(next, symbols.get('next32'));
    assert.equal(cs32! & 0xffff, Gdt.code32);
    assert.equal(efer, 0x500, 'EFER.LME and LMA');
    assert.deepEqual([wideLow, wideHigh, seen], [0x55667788, 0x11223344, 0x11223344]);
    assert.equal(eferAfter, 0x100, 'LMA goes with paging');
    assert.equal(low(machine, CX), Gdt.code32);
    assert.equal(low(machine, SI), 0x4141);
    assert.equal(context.cpu.gpr(9), 0x1122334455667788n);
    assert.equal(context.cpu.cr0 & 0x8000_0001n, 0n);
    assert.equal(context.mem.get32(L.CODE_MODE), 0);
    assert.deepEqual(context.cpu.segment(Segment.CS), { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 });
  });
});

import assert from 'node:assert/strict';
import * as L from '../layout.ts';
import { UNMAPPED, createTestMachine } from './system-test-support.ts';
import type { TestMachine } from './system-test-support.ts';
import { raiseNmi } from './interrupts.ts';

/** One entry of the log that the handlers of #DB and NMI keep: vector, RIP, DR6, RFLAGS, RCX. */
interface Trap {
  readonly vector: number;
  readonly at: string;
  readonly dr6: number;
  readonly rflags: number;
  readonly rcx: number;
}

const LOG = 0x20000;
const ENTRY = 40;
const DATA = 0x30000;
/** DR7 for breakpoint n: enabled, with R/W and LEN. */
const dr7 = (n: number, rw: number, len: number): number =>
  (2 << (2 * n)) | (rw << (16 + 4 * n)) | (len << (18 + 4 * n));
const set = (register: string, value: number | string): string => `mov rax, ${value}\n mov ${register}, rax\n`;

/**
 * Runs `body` with handlers that log and go on. The #DB handler clears DR6 and, if \`edit\` says so, changes the frame (RAX is its RFLAGS).
 */
function trapsOf(
  body: string,
  edit = '',
  prepare?: (machine: TestMachine) => void,
): { traps: Trap[]; machine: TestMachine } {
  const machine = createTestMachine(`
      mov r15, ${LOG}
      mov r14, ${DATA}
      ${body}
    end:
      hlt
    .macro note vector
      push rax
      push rdx
      mov qword ptr [r15], \\vector
      mov rax, [rsp + 16]
      mov [r15 + 8], rax
      mov rax, dr6
      mov [r15 + 16], rax
      mov rax, [rsp + 32]
      mov [r15 + 24], rax
      mov [r15 + 32], rcx
      add r15, ${ENTRY}
    .endm
    on_debug:
      note 1
      mov eax, 0xffff0ff0
      mov dr6, rax
      mov rax, [rsp + 32]
      ${edit}
      mov [rsp + 32], rax
      pop rdx
      pop rax
      iretq
    on_nmi:
      note 2
      pop rdx
      pop rax
      iretq
  `);
  const { context, symbols } = machine;
  for (const [vector, label] of [
    [1, 'on_debug'],
    [2, 'on_nmi'],
  ] as const) {
    const at = BigInt(symbols.get(label)!);
    context.physical.write64(
      0x2000 + vector * 16,
      (at & 0xffffn) | (0x10n << 16n) | (0x8en << 40n) | ((at >> 16n) << 48n),
    );
  }
  prepare?.(machine);
  machine.run();
  assert.equal(machine.report(), undefined, 'another exception');
  const names = new Map([...symbols].map(([name, at]) => [at, name]));
  const traps: Trap[] = [];
  for (let at = LOG; context.physical.read64(at) !== 0n; at += ENTRY) {
    const word = (offset: number): number => Number(context.physical.read64(at + offset));
    traps.push({
      vector: word(0),
      at: names.get(word(8)) ?? word(8).toString(16),
      dr6: word(16) & 0xe00f,
      rflags: word(24),
      rcx: word(32),
    });
  }
  return { traps, machine };
}
const places = (traps: readonly Trap[]): string[] => traps.map(({ at }) => at);
const RESUME = 'or eax, 0x10000';
const RF = 0x10000;
const TF_ON = 'pushfq\n or dword ptr [rsp], 0x100\n popfq\n';
const TF_OFF = 'pushfq\n and dword ptr [rsp], ~0x100\n popfq\n';
const BS = 0x4000;

describe('instruction breakpoints', () => {
  const setup = set('dr1', 'offset here') + set('dr7', dr7(1, 0, 0));

  it('are faults before the instruction; RF lets it go on', () => {
    const { traps, machine } = trapsOf(`${setup} xor ebx, ebx\n here: inc ebx\n inc ebx\n`, RESUME);
    assert.deepEqual(places(traps), ['here']);
    assert.equal(traps[0]!.dr6, 2);
    assert.equal(traps[0]!.rflags & RF, 0, 'the image pushed has RF clear');
    assert.equal(machine.context.cpu.gpr(3), 2n);
  });

  it('fire every time round a loop, also once it is hot, and no more when DR7 is cleared', () => {
    const source = `${setup} mov ecx, 3000\n here: inc ebx\n dec ecx\n jnz here\n ${set('dr7', 0)} mov ecx, 5\n jmp again\n again: dec ecx\n jnz again`;
    const { traps } = trapsOf(source, RESUME);
    assert.equal(traps.length, 3000);
    assert.equal(traps.at(-1)!.rcx, 1);
  });

  it('fire where code was decoded and linked before', () => {
    const source = `call one\n call one\n ${setup} call one\n ${set('dr7', 0)} call one\n jmp end\n one: nop\n here: nop\n ret`;
    assert.deepEqual(places(trapsOf(source, RESUME).traps), ['here']);
  });

  it('want an exact address and R/W 0, and no others', () => {
    const wrong = set('dr1', '(offset here) + 1') + set('dr7', dr7(1, 0, 0));
    assert.deepEqual(trapsOf(`${wrong} here: mov ebx, 5\n`, RESUME).traps, []);
    const disabled = set('dr1', 'offset here') + set('dr7', dr7(0, 0, 0));
    assert.deepEqual(places(trapsOf(`${disabled} here: nop\n`, RESUME).traps), []);
  });

  it('do not fire behind a load of SS', () => {
    assert.deepEqual(trapsOf(`${setup} mov ebx, ss\n mov ss, ebx\n here: nop\n`, RESUME).traps, []);
  });

  it('leave RF set in the image that a fault of the instruction pushes, for the handler to come back to it', () => {
    const fault = `${setup} mov rbx, ${UNMAPPED}\n here: mov rcx, [rbx]\n`;
    const machine = createTestMachine(`${fault} hlt`);
    machine.gate(1, { present: true });
    machine.context.mem.set32(L.SYSTEM_FLAGS, 0);
    machine.run();
    assert.equal(machine.report()?.vector, 1, 'the breakpoint comes first');
    assert.equal(machine.report()!.rflags & RF, 0);
    const second = createTestMachine(`mov rbx, ${UNMAPPED}\n mov rcx, [rbx]\n hlt`);
    second.run();
    assert.equal(second.report()?.vector, 14);
    assert.equal(second.report()!.rflags & RF, RF);
  });
});

describe('data breakpoints', () => {
  const watch = (rw: number, len: number, at: number | string = DATA): string =>
    set('dr0', at) + set('dr7', dr7(0, rw, len));
  const WRITES = 1;
  const ACCESSES = 3;
  const LEN = { 1: 0, 2: 1, 4: 3, 8: 2 } as const;

  it('trap behind the instruction that writes', () => {
    const { traps, machine } = trapsOf(
      `${watch(WRITES, LEN[4])} mov ebx, [r14]\n mov dword ptr [r14], 7\n after: nop\n`,
    );
    assert.deepEqual(places(traps), ['after']);
    assert.equal(traps[0]!.dr6, 1);
    assert.equal(traps[0]!.rflags & RF, 0);
    assert.equal(machine.context.physical.read32(DATA), 7);
  });

  it('trap reads and writes', () => {
    const source = `${watch(ACCESSES, LEN[1])} mov bl, [r14]\n a: mov [r14], bl\n b: add byte ptr [r14], 1\n c: mov bx, [r14 + 1]\n`;
    const { traps } = trapsOf(source);
    assert.deepEqual(places(traps), ['a', 'b', 'c']);
  });

  for (const [bytes, len] of Object.entries(LEN)) {
    it(`of ${bytes} bytes meet any part of an access, and no neighbour`, () => {
      const size = Number(bytes);
      const source = `${watch(WRITES, len, DATA + 0x18)}
        mov byte ptr [r14 + 0x17], 1
        mov byte ptr [r14 + ${0x18 + size}], 1
        mov qword ptr [r14 + 0x10], 1
        mov byte ptr [r14 + ${0x18 + size - 1}], 1
       a: mov qword ptr [r14 + 0x11], 1
       b: movups [r14 + 0x10], xmm0
       c: push rax\n pop rax
        mov qword ptr [r14 + ${0x18 + size}], 1`;
      assert.deepEqual(places(trapsOf(source).traps), ['a', 'b', 'c']);
    });
  }

  it('ignore the low address bits that the length covers', () => {
    const source = `${watch(WRITES, LEN[4], DATA + 6)} mov byte ptr [r14 + 4], 1\n a: mov byte ptr [r14 + 3], 1\n`;
    assert.deepEqual(places(trapsOf(source).traps), ['a']);
  });

  it('see writes across a page end, and pushes', () => {
    const edge = `${watch(WRITES, LEN[1], DATA + 0x1000)} mov qword ptr [r14 + 0xffd], -1\n a: nop\n`;
    assert.deepEqual(places(trapsOf(edge).traps), ['a']);
    const push = `lea rbx, [rsp - 8]\n ${watch(WRITES, LEN[8], 'rbx')} push 5\n a: pop rcx\n`;
    assert.deepEqual(places(trapsOf(push).traps), ['a']);
  });

  it('trap in a hot loop at the very element', () => {
    const source = `${watch(WRITES, LEN[8], DATA + 0x800)} xor ecx, ecx\n again: mov [r14 + rcx*8], rcx\n after: inc ecx\n cmp ecx, 0x200\n jne again\n`;
    const { traps } = trapsOf(source);
    assert.deepEqual(places(traps), ['after']);
    assert.equal(traps[0]!.rcx, 0x100);
  });

  it('trap behind the element of a repeated string instruction, with RF in the image until the last', () => {
    const source = `${watch(WRITES, LEN[1], DATA + 5)} mov rdi, r14\n mov ecx, 8\n xor eax, eax\n here: rep stosb\n after: nop\n`;
    const { traps, machine } = trapsOf(source);
    assert.deepEqual(places(traps), ['here']);
    assert.equal(traps[0]!.rcx, 2);
    assert.equal(traps[0]!.rflags & RF, RF);
    assert.equal(machine.context.cpu.gpr(1), 0n);
    const last = source.replace(`${DATA + 5}`, `${DATA + 7}`);
    assert.deepEqual(places(trapsOf(last).traps), ['after']);
    const scan = `${watch(ACCESSES, LEN[1], DATA + 3)} mov rdi, r14\n mov ecx, 8\n xor eax, eax\n here: repe scasb\n after: nop\n`;
    assert.deepEqual(places(trapsOf(scan).traps), ['here']);
  });

  it('wait for the instruction behind a load of SS from the watched place', () => {
    const source = `mov word ptr [r14], 0x18\n ${watch(ACCESSES, LEN[2])} mov ss, [r14]\n mov rbx, rbx\n after: nop\n`;
    assert.deepEqual(places(trapsOf(source).traps), ['after']);
  });

  it('combine with the single step', () => {
    const { traps } = trapsOf(`${watch(WRITES, LEN[1])} ${TF_ON} mov byte ptr [r14], 1\n a: nop\n b: ${TF_OFF}`);
    assert.deepEqual([traps[0]!.at, traps[0]!.dr6], ['a', BS | 1]);
    assert.deepEqual([traps[1]!.at, traps[1]!.dr6], ['b', BS]);
  });

  it('cost nothing once DR7 is cleared: the tags come back', () => {
    const { traps, machine } = trapsOf(`${watch(WRITES, LEN[1])} ${set('dr7', 0)} mov byte ptr [r14], 1\n`);
    assert.deepEqual(traps, []);
    assert.equal(machine.context.mem.get32(L.WATCHES), 0);
    assert.ok(machine.context.mmu.entries().some(({ gva, writeTag }) => gva === BigInt(DATA) && writeTag));
  });

  it('of ports are there with CR4.DE only', () => {
    const port = set('dr0', 0x80) + set('dr7', dr7(0, 2, LEN[2]));
    assert.deepEqual(trapsOf(`${port} out 0x81, al\n a: nop\n`).traps, []);
    const extended = `mov rax, cr4\n or rax, 8\n mov cr4, rax\n ${port} out 0x82, al\n out 0x81, al\n a: in ax, 0x7f\n b: nop\n`;
    assert.deepEqual(places(trapsOf(extended).traps), ['a', 'b']);
  });
});

describe('general detect', () => {
  it('stops MOV to and from debug registers, with BD; the handler may use them', () => {
    const { traps } = trapsOf(`${set('dr7', 0x2000)} here: mov rax, dr0\n after: mov rbx, dr0\n`);
    assert.deepEqual(places(traps), ['here']);
    assert.equal(traps[0]!.dr6, 0x2000);
    assert.equal(traps[0]!.rflags & RF, RF);
  });
});

describe('single step', () => {
  it('traps behind every instruction that began with TF set', () => {
    const { traps } = trapsOf(
      `${TF_ON} a: nop\n b: mov ebx, 1\n c: pushfq\n d: and dword ptr [rsp], ~0x100\n e: popfq\n f: nop\n`,
    );
    assert.deepEqual(places(traps), ['b', 'c', 'd', 'e', 'f']);
    assert.ok(traps.every(({ dr6 }) => dr6 === BS));
  });

  it('does not trap between a load of SS and the instruction behind it, but does after STI', () => {
    const { traps } = trapsOf(
      `mov ebx, ss\n ${TF_ON} nop\n a: mov ss, ebx\n b: nop\n c: sti\n d: nop\n e: cli\n f: ${TF_OFF}`,
    );
    const seen = places(traps);
    assert.deepEqual(seen.slice(0, 5), ['a', 'c', 'd', 'e', 'f']);
  });

  it('traps behind each element of a repeated instruction', () => {
    const { traps } = trapsOf(
      `mov rsi, r14\n lea rdi, [r14 + 64]\n mov ecx, 3\n ${TF_ON} here: rep movsb\n after: ${TF_OFF}`,
    );
    assert.deepEqual(
      traps.slice(0, 3).map(({ at, rcx, rflags }) => [at, rcx, rflags & RF]),
      [
        ['here', 2, RF],
        ['here', 1, RF],
        ['after', 0, 0],
      ],
    );
  });

  it('stops a repeated comparison where it ends', () => {
    const source = `mov dword ptr [r14], 0x00410000\n mov rdi, r14\n mov ecx, 4\n xor eax, eax\n ${TF_ON} here: repe scasb\n after: ${TF_OFF}`;
    const { traps, machine } = trapsOf(source);
    assert.deepEqual(
      traps.slice(0, 3).map(({ at, rcx }) => [at, rcx]),
      [
        ['here', 3],
        ['here', 2],
        ['after', 1],
      ],
    );
    assert.equal(machine.context.cpu.gpr(7), BigInt(DATA + 3));
  });

  it('does not trap on the way into INT n and INT1, nor into SYSCALL that masks TF', () => {
    const body = `
      mov ecx, 0xc0000084\n mov eax, 0x100\n xor edx, edx\n wrmsr
      mov ecx, 0xc0000082\n mov eax, offset entry\n wrmsr
      mov ecx, 0xc0000081\n xor eax, eax\n mov edx, 0x10\n wrmsr
      mov ecx, 0xc0000080\n rdmsr\n or eax, 1\n wrmsr
      ${TF_ON} syscall
      entry: nop\n nop\n`;
    assert.deepEqual(trapsOf(body).traps, []);
    const int1 = trapsOf(`${TF_ON} .byte 0xf1\n a: nop\n b: ${TF_OFF}`).traps;
    assert.deepEqual(
      int1.slice(0, 2).map(({ at, dr6 }) => [at, dr6]),
      [
        ['a', 0],
        ['b', BS],
      ],
    );
  });

  it('with BTF traps behind taken branches only, and uses it up', () => {
    const btf = 'mov ecx, 0x1d9\n mov eax, 2\n xor edx, edx\n wrmsr\n';
    const body = `${btf} xor ebx, ebx\n ${TF_ON} nop\n test ebx, ebx\n jnz no\n nop\n jmp there\n nop\n no: nop\n there: nop\n`;
    const { traps } = trapsOf(`${body} mov ecx, 0x1d9\n rdmsr\n mov r13, rax\n`, 'and eax, ~0x100');
    assert.deepEqual(places(traps), ['there']);
  });

  it('with BTF goes on with single steps once it is used up', () => {
    const btf = 'mov ecx, 0x1d9\n mov eax, 2\n xor edx, edx\n wrmsr\n';
    const { traps, machine } = trapsOf(`${btf} ${TF_ON} jmp there\n there: nop\n next: ${TF_OFF}`);
    assert.deepEqual(places(traps).slice(0, 2), ['there', 'next']);
    assert.equal(machine.context.mem.get64(L.MSR_DEBUGCTL), 0n);
  });

  it('traps behind HLT, and goes on', () => {
    assert.deepEqual(places(trapsOf(`${TF_ON} hlt\n a: ${TF_OFF}`).traps).slice(0, 1), ['a']);
  });

  it('comes before an interrupt that is due at the same boundary', () => {
    let due = false;
    const { traps } = trapsOf(`sti\n ${TF_ON} out 0x80, al\n a: nop\n`, 'and eax, ~0x300', ({ context }) => {
      context.onPortAccess = () => {
        due = true;
        raiseNmi(context);
      };
    });
    assert.ok(due);
    // The NMI arrives before the first instruction of the handler of the trap.
    assert.deepEqual(
      traps.map(({ vector, at }) => [vector, at]),
      [
        [2, 'on_debug'],
        [1, 'a'],
      ],
    );
  });
});

describe('NMI', () => {
  it('is delivered once, and blocks others until IRET', () => {
    const { traps, machine } = trapsOf(`out 0x80, al\n a: nop\n b: nop\n`, '', ({ context }) => {
      context.onPortAccess = () => raiseNmi(context);
    });
    assert.deepEqual(
      traps.map(({ vector, at }) => [vector, at]),
      [[2, 'a']],
    );
    assert.equal(machine.context.mem.get32(L.INTERRUPTIBILITY), 0);
    const blocked = trapsOf(`out 0x80, al\n a: nop\n b: nop\n`, '', ({ context }) => {
      context.onPortAccess = () => {
        raiseNmi(context);
        context.mem.set32(L.INTERRUPTIBILITY, 8);
      };
    });
    assert.deepEqual(blocked.traps, []);
    assert.equal(blocked.machine.context.mem.get32(L.PENDING_EVENTS), L.PENDING_NMI);
  });

  it('waits behind a load of SS', () => {
    const { traps } = trapsOf(`out 0x80, al\n mov eax, ebx\n a: nop\n b: nop\n`, '', ({ context }) => {
      context.onPortAccess = () => {
        context.mem.set32(L.INTERRUPTIBILITY, 2);
        raiseNmi(context);
      };
    });
    assert.deepEqual(places(traps), ['a']);
  });
});

/**
 * For specs: kernels in 32-bit assembly on the board. A source begins at `main` in flat protected mode with interrupts off; what it finds it writes down with `note`, and it
 * ends by `finish`. Macros: `gate VECTOR, LABEL` (an interrupt handler), `apic REGISTER, VALUE` and `apic_read REGISTER` (EAX) of the local APIC in xAPIC mode, `ioapic
 * REGISTER, VALUE`, `port PORT, VALUE` and `in_port PORT` (AL), `wait_cycles N` (lets time pass).
 */
import assert from 'node:assert/strict';
import { boot, finish, type Run } from '../../test/machine/support.ts';
import { assemble } from '../../test/support/assemble.ts';
import type { MachineOptions } from '../machine/api.ts';

const ORIGIN = 0x100000;
const IDT = 0x200000;
const NEXT = 0x300000;
const NOTES = 0x300010;

const PRELUDE = `
  .code32
  .set FLAGS, 0x10000
  .balign 4
header:
  .long 0x1badb002, FLAGS, -(0x1badb002 + FLAGS), header, header, 0, 0, entry

  .macro note value:vararg
    push ebx
    push eax
    mov eax, \\value
    mov ebx, dword ptr ds:[${NEXT}]
    mov dword ptr [ebx], eax
    lea ebx, [ebx + 4]
    mov dword ptr ds:[${NEXT}], ebx
    pop eax
    pop ebx
  .endm
  .macro gate vector, handler
    mov eax, offset \\handler
    mov word ptr ds:[${IDT} + \\vector * 8], ax
    mov dword ptr ds:[${IDT} + \\vector * 8 + 2], 8
    mov word ptr ds:[${IDT} + \\vector * 8 + 4], 0x8e00
    shr eax, 16
    mov word ptr ds:[${IDT} + \\vector * 8 + 6], ax
  .endm
  .macro apic register, value:vararg
    mov dword ptr ds:[0xfee00000 + \\register], \\value
  .endm
  .macro apic_read register
    mov eax, dword ptr ds:[0xfee00000 + \\register]
  .endm
  .macro ioapic register, value
    mov dword ptr ds:[0xfec00000], \\register
    mov dword ptr ds:[0xfec00010], \\value
  .endm
  .macro ioapic_read register
    mov dword ptr ds:[0xfec00000], \\register
    mov eax, dword ptr ds:[0xfec00010]
  .endm
  .macro port number, value
    mov edx, \\number
    mov eax, \\value
    out dx, al
  .endm
  .macro in_port number
    mov edx, \\number
    xor eax, eax
    in al, dx
  .endm
  .macro wait_cycles count
    rdtsc
    lea esi, [eax + \\count]
  77:
    pause
    rdtsc
    sub eax, esi
    js 77b
  .endm
  .macro finish status
    mov eax, \\status
    mov edx, 0xf4
    out dx, eax
  .endm

entry:
  mov esp, 0x90000
  mov dword ptr ds:[${NEXT}], ${NOTES}
  lgdt [gdt_pointer]
  lidt [idt_pointer]
  ljmp 8, offset reload
reload:
  jmp main
  .balign 8
gdt:
  .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
  .word . - gdt - 1
  .long gdt
idt_pointer:
  .word 256 * 8 - 1
  .long ${IDT}
  .set TESTS_IDT, ${IDT}
`;

export interface Booted extends Run {
  /** 32-bit words that the kernel wrote down. */
  readonly notes: number[];
  readonly status: number;
  word(address: number): number;
}

/** Runs to the end. The wanted status is 0 unless the caller looks at it. */
export function bootSource(source: string, options: Partial<MachineOptions> = {}): Booted {
  const run = startSource(source, options);
  const stop = finish(run.machine, () => 1e6, 2e7);
  assert.equal(stop.kind, 'exited', `${run.text()} ${JSON.stringify(stop)}`);
  return { ...run, ...results(run), status: stop.kind === 'exited' ? stop.status : -1 };
}

/** Booted, and not run yet. */
export function startSource(source: string, options: Partial<MachineOptions> = {}): Run {
  const { bytes } = assemble(`${PRELUDE}\n${source}`, ORIGIN);
  return boot('test kernel', { program: { path: '/kernel', image: bytes }, ...options });
}

export function results({ machine }: Run): Pick<Booted, 'notes' | 'word'> {
  const word = (address: number): number => {
    const bytes = machine.readMemory(1, 'hpa', BigInt(address), 4);
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  };
  const end = word(NEXT);
  const notes = Array.from({ length: (end - NOTES) / 4 }, (_, index) => word(NOTES + index * 4));
  return { notes, word };
}

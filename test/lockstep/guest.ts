/**
 * The guest of lock-step scenarios: a small kernel in assembly, its tables, and two sets of page tables over windows of data and of code.
 *
 * What faults goes on at the landing that the code has announced, or, in the windows, half of the time at the same instruction with its page mapped. INT 80H with an
 * action's number in EAX edits page tables, flushes, changes code; external interrupts do some of it by themselves.
 */
import * as L from '../../emulator/cpu/layout.ts';
import type { CpuContext } from '../../emulator/cpu/context.ts';
import { LINUX_EFER, resetFlat64 } from '../../emulator/cpu/system/reset.ts';
import { Segment } from '../../emulator/cpu/state.ts';
import { DATA } from '../isa/fuzz/layout.ts';
import { assemble } from '../support/assemble.ts';
import type { Assembled } from '../support/assemble.ts';

export const PAGE = 4096;
export const RAM_BYTES = 2 << 20;
/** Linear addresses of the windows; DATA is where the generator's absolute operands point. */
export const DATA_WINDOW = DATA;
export const DATA_PAGES = 16;
export const CODE_WINDOW = 0x400000;
export const CODE_PAGES = 16;
/** The last two pages of the data window: the stack, and the variables of generated code. */
export const STACK_TOP = DATA_WINDOW + 0xefc0;
export const VARIABLES = DATA_WINDOW + 0xf000;

const GDT = 0x1000;
const IDT = 0x2000;
const TSS = 0x3000;
/** Events by vector, u32 each. */
export const COUNTS = 0x4000;
const KERNEL = 0x10000;
/** Physical. */
export const DATA_FRAMES = 0x40000;
export const CODE_FRAMES = 0x80000;
export const OTHER_CODE_FRAMES = 0xa0000;
/** PML4, PDPT, PD, kernel, data and code tables, a page each. */
export const ROOTS = [0x20000, 0x28000] as const;
export const PCIDS = [0, 5] as const;
const TABLE_OF_DATA = 0x4000;
const TABLE_OF_CODE = 0x5000;
const VARIABLES_FRAME = DATA_FRAMES + 0xf000;

const PRESENT = 1n;
const WRITABLE = 2n;
const USER = 4n;
const GLOBAL = 0x100n;
export const EVERYTHING_ALLOWED = PRESENT | WRITABLE | USER;

export const ACTIONS = [
  'end', 'set_data', 'set_data_stale', 'load_cr3', 'invlpg', 'set_code', 'flush_global', 'change_byte', 'toggle_wp', 'invpcid',
] as const; // prettier-ignore
export type Action = (typeof ACTIONS)[number];
export const SYSCALLS = COUNTS + 0x500;

const hex = (value: number): string => `0x${value.toString(16)}`;

const SOURCE = `
  .set vector, 0
  .balign 16
handlers:
  .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
      push 0
    .endif
    push vector
    .if vector == 1
      jmp debug
    .elseif vector == 2
      jmp leave_it
    .elseif vector == 0x80
      jmp action
    .elseif vector >= 0x30
      jmp external
    .else
      jmp exception
    .endif
    .set vector, vector + 1
  .endr

  # Frame, after three pushes: vector 24, error code 32, RIP 40, CS 48, RFLAGS 56, RSP 64, SS 72.
exception:
  push rax
  push rbx
  push rcx
  mov rax, [rsp+24]
  inc dword ptr [${hex(COUNTS)}+rax*4]
  cmp rax, 14
  jne skip
  test dword ptr [${hex(COUNTS + 14 * 4)}], 1
  jnz skip
  mov rbx, cr3
  and rbx, -4096
  mov rax, cr2
  mov rcx, rax
  sub rax, ${hex(DATA_WINDOW)}
  cmp rax, ${hex(DATA_PAGES * PAGE)}
  jb in_data
  mov rax, rcx
  sub rax, ${hex(CODE_WINDOW)}
  cmp rax, ${hex(CODE_PAGES * PAGE)}
  jae skip
  add rbx, ${hex(TABLE_OF_CODE - TABLE_OF_DATA)}
in_data:
  shr rax, 12
  or qword ptr [rbx+${hex(TABLE_OF_DATA)}+rax*8], 7
  btr qword ptr [rbx+${hex(TABLE_OF_DATA)}+rax*8], 63
  invlpg [rcx]
  jmp back
skip:
  mov rax, [rsp+40]
  cmp rax, ${hex(DATA_WINDOW)}
  jb dead
  mov rax, [${hex(VARIABLES_FRAME)}]
  mov [rsp+40], rax
  mov rax, [code_selector]
  mov [rsp+48], rax
  mov rax, [stack_selector]
  mov [rsp+72], rax
  mov qword ptr [rsp+56], 0x202
back:
  pop rcx
  pop rbx
  pop rax
  add rsp, 16
  iretq
dead:
  cli
  hlt
  jmp dead

debug:
  inc dword ptr [${hex(COUNTS + 4)}]
  test dword ptr [${hex(COUNTS + 4)}], 7
  jnz leave_it
  and qword ptr [rsp+32], -0x101
leave_it:
  inc dword ptr [${hex(COUNTS + 0x400)}]
  add rsp, 16
  iretq

external:
  push rax
  push rbx
  push rcx
  mov rax, [rsp+24]
  inc dword ptr [${hex(COUNTS)}+rax*4]
  and eax, 7
  cmp eax, 1
  jne 1f
  mov rax, cr3
  mov cr3, rax
  jmp back
1:cmp eax, 2
  jne 1f
  mov rbx, cr3
  and rbx, -4096
  btc qword ptr [rbx+${hex(TABLE_OF_DATA + 8)}], 1
  invlpg [${hex(DATA_WINDOW + PAGE)}]
  jmp back
1:cmp eax, 3
  jne 1f
  mov rbx, cr3
  and rbx, -4096
  btc qword ptr [rbx+${hex(TABLE_OF_DATA)}], 0
  invlpg [${hex(DATA_WINDOW)}]
  jmp back
1:cmp eax, 4
  jne back
  # The first page of code comes from its other frame.
  mov rbx, cr3
  and rbx, -4096
  xor qword ptr [rbx+${hex(TABLE_OF_CODE)}], ${hex(CODE_FRAMES ^ OTHER_CODE_FRAMES)}
  invlpg [${hex(CODE_WINDOW)}]
  jmp back

action:
  add rsp, 16
  inc dword ptr [${hex(COUNTS + 0x200)}]
  cmp eax, ${ACTIONS.length}
  jae done
  mov eax, eax
  jmp [actions+rax*8]
end:
  jmp dead
set_data:
  call data_entry
  invlpg [rsi]
  jmp done
set_data_stale:
  call data_entry
done:
  iretq
  # Entry EBX of the data table becomes RCX; RSI: its page.
data_entry:
  and ebx, 15
  mov rdi, cr3
  and rdi, -4096
  mov [rdi+${hex(TABLE_OF_DATA)}+rbx*8], rcx
  shl rbx, 12
  lea rsi, [rbx+${hex(DATA_WINDOW)}]
  ret
load_cr3:
  mov cr3, rcx
  jmp done
invlpg:
  invlpg [rcx]
  jmp done
set_code:
  and ebx, 15
  mov rdi, cr3
  and rdi, -4096
  mov [rdi+${hex(TABLE_OF_CODE)}+rbx*8], rcx
  shl rbx, 12
  invlpg [rbx+${hex(CODE_WINDOW)}]
  jmp done
flush_global:
  mov rcx, cr4
  btc rcx, 7
  mov cr4, rcx
  btc rcx, 7
  mov cr4, rcx
  jmp done
change_byte:
  mov [rcx], bl
  jmp done
toggle_wp:
  mov rcx, cr0
  btc rcx, 16
  mov cr0, rcx
  jmp done
invpcid:
  and ebx, 3
  mov [descriptor], rdx
  mov [descriptor+8], rcx
  invpcid rbx, [descriptor]
  jmp done

system_call:
  inc dword ptr [${hex(SYSCALLS)}]
  sysretq

  .balign 16
actions:
  ${ACTIONS.map((name) => `.quad ${name}`).join('\n  ')}
code_selector: .quad 0
stack_selector: .quad 0
descriptor: .quad 0, 0
`;

/** By selector / 8. */
const DESCRIPTORS: Readonly<Record<number, bigint>> = {
  2: 0x00af_9a00_0000_ffffn,
  3: 0x00cf_9200_0000_ffffn,
  4: 0x00cf_fa00_0000_ffffn,
  5: 0x00cf_f200_0000_ffffn,
  6: 0x00af_fa00_0000_ffffn,
  7: 0x0000_8900_3000_0067n,
};
const KERNEL_CODE = 0x10;
const KERNEL_DATA = 0x18;
const USER_CODE = 0x33;
const USER_DATA = 0x2b;
const CR4_SMEP = 1n << 20n;
/** SYSCALL to KERNEL_CODE, SYSRET to USER_CODE. */
const STAR = 0x0023_0010_0000_0000n;

/** Stacks by interrupt-stack number: exceptions, external interrupts, NMI, #DB, actions, #DF. */
const istTop = (number: number): number => 0x9000 + number * 0x1000;
function istOf(vector: number): number {
  const own: Readonly<Record<number, number>> = { 1: 4, 2: 3, 8: 6, 0x80: 5 };
  return own[vector] ?? (vector >= 0x30 ? 2 : 1);
}

let kernel: Assembled | undefined;

function writeTables({ physical }: CpuContext, image: Assembled): void {
  for (const [index, descriptor] of Object.entries(DESCRIPTORS)) physical.write64(GDT + Number(index) * 8, descriptor);
  const handlers = image.symbols.get('handlers')!;
  for (let vector = 0; vector < 256; vector++) {
    const offset = BigInt(handlers + vector * 16);
    const rights = vector === 3 || vector === 0x80 ? 0xeen : 0x8en;
    const high = (offset >> 16n) << 48n;
    const low = (offset & 0xffffn) | (BigInt(KERNEL_CODE) << 16n) | (BigInt(istOf(vector)) << 32n) | (rights << 40n);
    physical.write64(IDT + vector * 16, low | high);
  }
  const tss = new Uint8Array(0x68);
  const view = new DataView(tss.buffer);
  view.setUint32(4, istTop(0), true);
  for (let number = 1; number <= 7; number++) view.setUint32(36 + (number - 1) * 8, istTop(number), true);
  physical.write(TSS, tss);
}

function writePageTables({ physical }: CpuContext, data: readonly (readonly bigint[])[]): void {
  ROOTS.forEach((root, which) => {
    physical.write64(root, BigInt(root + 0x1000) | EVERYTHING_ALLOWED);
    physical.write64(root + 0x1000, BigInt(root + 0x2000) | EVERYTHING_ALLOWED);
    const tables = [0x3000, TABLE_OF_DATA, TABLE_OF_CODE];
    tables.forEach((table, at) => physical.write64(root + 0x2000 + at * 8, BigInt(root + table) | EVERYTHING_ALLOWED));
    for (let page = 0; page < RAM_BYTES / PAGE; page++)
      physical.write64(root + 0x3000 + page * 8, BigInt(page * PAGE) | PRESENT | WRITABLE | GLOBAL);
    data[which]!.forEach((entry, page) => physical.write64(root + TABLE_OF_DATA + page * 8, entry));
    for (let page = 0; page < CODE_PAGES; page++)
      physical.write64(root + TABLE_OF_CODE + page * 8, BigInt(CODE_FRAMES + page * PAGE) | EVERYTHING_ALLOWED);
  });
}

export interface Guest {
  readonly ring: 0 | 3;
  /** For CODE_WINDOW. */
  readonly code: Uint8Array;
  /** Code that the pages may be changed for. */
  readonly otherCode: Uint8Array;
  /** Contents of the window's pages. */
  readonly data: Uint8Array;
  /** Page-table entries of the data window, for each of the two roots. */
  readonly dataEntries: readonly (readonly bigint[])[];
}

/** Puts the guest into a processor whose memory is all zero, at its first instruction. */
export function install(context: CpuContext, guest: Guest): void {
  const { mem, cpu, physical, engine } = context;
  kernel ??= assemble(SOURCE, KERNEL);
  physical.write(KERNEL, kernel.bytes);
  writeTables(context, kernel);
  writePageTables(context, guest.dataEntries);
  physical.write(DATA_FRAMES, guest.data);
  physical.write(CODE_FRAMES, guest.code);
  physical.write(OTHER_CODE_FRAMES, guest.otherCode);
  const user = guest.ring === 3;
  const [code, stack] = user ? [USER_CODE, USER_DATA] : [KERNEL_CODE, KERNEL_DATA];
  physical.write64(kernel.symbols.get('code_selector')!, BigInt(code));
  physical.write64(kernel.symbols.get('stack_selector')!, BigInt(stack));

  resetFlat64(context, BigInt(ROOTS[0] + PCIDS[0]));
  mem.set64(L.CR4, mem.get64(L.CR4) & ~CR4_SMEP);
  mem.set64(L.MSR_EFER, LINUX_EFER);
  mem.set64(L.MSR_STAR, STAR);
  mem.set64(L.MSR_LSTAR, BigInt(kernel.symbols.get('system_call')!));
  mem.set64(L.GDTR_BASE, BigInt(GDT));
  mem.set32(L.GDTR_LIMIT, 0x7f);
  mem.set64(L.IDTR_BASE, BigInt(IDT));
  mem.set32(L.IDTR_LIMIT, 0xfff);
  mem.set32(L.SYSTEM_FLAGS, 0x200);
  cpu.setSegment(Segment.TR, { selector: 0x38, base: BigInt(TSS), limit: 0x67, rights: 0x8b });
  if (user) {
    cpu.setSegment(Segment.CS, { selector: USER_CODE, base: 0n, limit: 0xffff_ffff, rights: 0xa0fb });
    cpu.setSegment(Segment.SS, { selector: USER_DATA, base: 0n, limit: 0xffff_ffff, rights: 0xc0f3 });
    mem.set32(L.CPL, 3);
  }
  cpu.rip = BigInt(CODE_WINDOW);
  cpu.rsp = BigInt(STACK_TOP);
  engine.contextChanged();
}

/** Mistakes that show at a VMCALL. */
import { Field } from '../vmx/fields.ts';
import { SYSCALLS, type ArgumentKind } from '../linux/syscalls/table.ts';
import { guestCpl } from './guest-context.ts';
import { guestTranslate } from './guest-tables.ts';
import { diagnoseOnce, hex, layoutOfProcess, type Dune, type Vcpu } from './state.ts';
import { read } from './vcpu.ts';
import { gpaToHva } from './windows.ts';

const RCX = 1;
/** End of user space. */
const TASK_SIZE = 0x7fff_ffff_f000n;
const PAGE = 0x1000n;
const CR3_ADDRESS = 0x000f_ffff_ffff_f000n;
const POINTERS: ReadonlySet<ArgumentKind> = new Set(['path', 'data', 'pointer']);

/**
 * Arguments of kind pointer that Linux does not, or not always, read or write through: addresses of mappings, and values whose
 * meaning hangs on another argument.
 */
const NOT_FOLLOWED: Readonly<Record<string, readonly number[]>> = {
  mmap: [0],
  mprotect: [0],
  munmap: [0],
  brk: [0],
  mremap: [0, 4],
  msync: [0],
  mincore: [0],
  madvise: [0],
  mlock: [0],
  munlock: [0],
  ioctl: [2],
  fcntl: [2],
  clone: [1, 2, 3, 4],
  prctl: [1, 2, 3, 4],
  arch_prctl: [1],
  futex: [3, 4],
};

/** For each system call, the arguments that Linux follows as pointers. */
const FOLLOWED: ReadonlyMap<number, readonly number[]> = new Map(
  [...SYSCALLS.values()].map((row) => [
    row.number,
    row.args.flatMap((kind, index) => (POINTERS.has(kind) && !NOT_FOLLOWED[row.name]?.includes(index) ? [index] : [])),
  ]),
);

/** RIP stands behind the VMCALL. */
export function lintSyscall(dune: Dune, vcpu: Vcpu, number: bigint, args: readonly bigint[]): void {
  if (guestCpl(dune) === 3) lintRing3(dune, vcpu, number);
  const followed = FOLLOWED.get(Number(number));
  if (!followed) return;
  for (const index of followed) {
    const pointer = args[index]!;
    if (pointer >= PAGE && pointer < TASK_SIZE) lintPointer(dune, vcpu, Number(number), index, pointer);
  }
}

/** The module does not look at the CPL: ring 3 reaches Linux past whatever ring 0 meant to filter. */
function lintRing3(dune: Dune, vcpu: Vcpu, number: bigint): void {
  diagnoseOnce(dune, vcpu.pid, 'VMCALL at CPL 3', () => ({
    summary: `VMCALL at CPL 3: system call ${number} (${syscallName(Number(number))}) goes to Linux without passing ring 0`,
    facts: { number },
  }));
}

/** The kernel follows Linux's page tables, so a pointer has to mean the same to them as to the guest's. */
function lintPointer(dune: Dune, vcpu: Vcpu, number: number, index: number, pointer: bigint): void {
  const root = Number(read(dune, Field.guestCr3) & CR3_ADDRESS);
  const gpa = guestTranslate(dune, vcpu, root, Number(pointer));
  // What the guest has no entry for, it may never mean to touch. In the identity window all three addresses are equal.
  if (gpa < 0) return;
  const hva = gpaToHva(layoutOfProcess(dune, vcpu.pid), BigInt(gpa));
  if (hva === pointer) return;
  const rip = read(dune, Field.guestRip);
  const site = rip < TASK_SIZE ? rip : vcpu.registers[RCX]!;
  diagnoseOnce(dune, vcpu.pid, `pointer ${number} ${index} ${hex(site)}`, () => {
    const leads = hva === undefined ? `GPA ${hex(gpa)}, which lies in no window` : `Linux address ${hex(hva)}`;
    const linux = dune.services.describeAddress(vcpu.pid, pointer);
    return {
      summary:
        `${syscallName(number)}: argument ${index + 1}, pointer ${hex(pointer)}, leads through the guest's page tables to ${leads}; ` +
        `the kernel uses its own mapping of ${hex(pointer)} (${linux})`,
      facts: {
        number,
        syscall: syscallName(number),
        argument: index + 1,
        gva: pointer,
        gpa,
        hva: hva ?? 0n,
        rip: site,
      },
    };
  });
}

/** "statx" */
export function syscallName(number: number): string {
  return SYSCALLS.get(number)?.name ?? 'unknown';
}

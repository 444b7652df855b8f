/**
 * The one table of event breakpoints: DAP exception filters, the checkbox tree, hovers and docs are made from it.
 * Each stands for events of one kind (emulator/machine/events.ts), narrowed by a condition over the event's facts.
 */
import type { EventKind } from '../../emulator/machine/events.ts';

export interface EventFilter {
  /** Name in DAP and in launch configurations. */
  readonly filter: string;
  /** Filter it stands under in the tree. */
  readonly parent?: string;
  readonly kind: EventKind;
  /** Condition that makes this filter of its kind; the user's condition is added to it. */
  readonly where?: string;
  readonly label: string;
  readonly description: string;
  /** Names a condition may use beside the common ones. */
  readonly facts: readonly string[];
  readonly conditionExample: string;
  /** On unless the user turns it off. */
  readonly default?: true;
}

/** Facts every event has. */
export const COMMON_FACTS = ['cpl', 'mode', 'rip', 'thread', 'instructions'] as const;

const VM_EXIT_FACTS = ['reason', 'number', 'qualification', 'gva', 'gpa', ...COMMON_FACTS];
const FAULT_FACTS = ['vector', 'errorCode', 'gva', ...COMMON_FACTS];
const SYSCALL_FACTS = ['syscall', 'number', 'a0', 'a1', 'a2', 'a3', 'a4', 'a5', ...COMMON_FACTS];

export const EVENT_FILTERS: readonly EventFilter[] = [
  {
    filter: 'abnormal',
    kind: 'diagnostic',
    where: 'abnormal == 1',
    label: 'Abnormal end',
    description:
      'An exit Dune does not handle: an EPT violation it cannot resolve, a triple fault, a forbidden register. On a bare machine: a processor shuts down.',
    facts: COMMON_FACTS,
    conditionExample: 'thread == 1',
    default: true,
  },
  {
    filter: 'fatal-signal',
    kind: 'signal',
    where: 'action == "kills it"',
    label: 'Fatal signal',
    description: 'A signal is about to end the program.',
    facts: ['signal', ...COMMON_FACTS],
    conditionExample: 'signal == SIGSEGV',
    default: true,
  },
  {
    filter: 'vm-exit',
    kind: 'vm-exit',
    label: 'VM exit',
    description: 'The processor leaves VMX non-root operation.',
    facts: VM_EXIT_FACTS,
    conditionExample: 'reason == EPT_VIOLATION && gpa in 0x1000..0x2000',
  },
  {
    filter: 'vm-exit-abnormal',
    parent: 'vm-exit',
    kind: 'vm-exit',
    where: '!(reason in [VMCALL, CPUID, EPT_VIOLATION, EXTERNAL_INTERRUPT])',
    label: 'VM exit Dune may not handle',
    description: 'Any VM exit but VMCALL, CPUID, EPT violations and external interrupts.',
    facts: VM_EXIT_FACTS,
    conditionExample: 'reason == CR_ACCESS',
  },
  {
    filter: 'vm-entry',
    kind: 'vm-entry',
    label: 'VM entry',
    description: 'VMLAUNCH or VMRESUME enters the guest.',
    facts: ['launch', ...COMMON_FACTS],
    conditionExample: 'launch',
  },
  {
    filter: 'vm-entry-failure',
    kind: 'vm-entry-failure',
    label: 'VM entry failure',
    description:
      'VMLAUNCH or VMRESUME fails: with a VM-instruction error, or with an exit for guest state or an MSR-load area.',
    facts: ['error', 'reason', 'number', 'qualification', 'checks', 'first', ...COMMON_FACTS],
    conditionExample: 'checks > 0',
  },
  {
    filter: 'page-fault',
    kind: 'page-fault',
    label: 'Guest page fault',
    description: 'A #PF in Dune mode or on a bare machine, before it is delivered through the IDT.',
    where: 'mode != "linux"',
    facts: FAULT_FACTS,
    conditionExample: 'gva in 0x400000..0x500000 && errorCode & 2',
  },
  {
    filter: 'ept-violation',
    kind: 'ept-violation',
    label: 'EPT violation',
    description: 'A guest-physical access the EPT does not allow, also those Dune resolves by filling the EPT.',
    facts: ['gpa', 'gva', 'hva', 'access', 'resolved', 'window', ...COMMON_FACTS],
    conditionExample: '!resolved',
  },
  {
    filter: 'exception',
    kind: 'exception',
    label: 'Other guest exception',
    description: 'Any exception but a page fault, in Dune mode or on a bare machine, before it is delivered.',
    where: 'mode != "linux"',
    facts: FAULT_FACTS,
    conditionExample: 'vector == 13',
  },
  {
    filter: 'trapped-syscall',
    kind: 'trapped-syscall',
    label: 'Trapped system call',
    description: 'SYSCALL in ring 3 of Dune mode, which ring 0 of the program handles.',
    facts: SYSCALL_FACTS,
    conditionExample: 'syscall == openat',
  },
  {
    filter: 'vmcall-syscall',
    kind: 'vmcall-syscall',
    label: 'VMCALL system call',
    description: 'A Linux system call from Dune mode, by VMCALL.',
    facts: SYSCALL_FACTS,
    conditionExample: 'syscall == write && a0 == 1',
  },
  {
    filter: 'host-syscall',
    kind: 'host-syscall',
    label: 'Linux-mode system call',
    description: 'A system call from Linux mode, outside Dune.',
    facts: SYSCALL_FACTS,
    conditionExample: 'syscall == ioctl',
  },
  {
    filter: 'ring-change',
    kind: 'ring-change',
    label: 'Ring change',
    description: 'The current privilege level changes.',
    facts: ['old', 'new', 'by', ...COMMON_FACTS],
    conditionExample: 'old == 3 && new == 0',
  },
  {
    filter: 'cr-write',
    kind: 'cr-write',
    label: 'Control-register write',
    description: 'MOV to CR0, CR3, CR4 or CR8, CLTS or LMSW.',
    facts: ['cr', 'old', 'new', ...COMMON_FACTS],
    conditionExample: 'cr == 3',
  },
  {
    filter: 'msr-write',
    kind: 'msr-write',
    label: 'MSR write',
    description: 'WRMSR.',
    facts: ['msr', 'name', 'old', 'new', ...COMMON_FACTS],
    conditionExample: 'msr == 0xc0000100',
  },
  {
    filter: 'stale-tlb',
    kind: 'stale-tlb',
    label: 'Stale TLB entry used',
    description:
      'An access is served by a TLB entry that no longer agrees with the tables: an invalidation is missing. Told at the first such use after each change of a table.',
    facts: [
      'gva',
      'access',
      'difference',
      'changed',
      'missing',
      'hpa',
      'now',
      'changedBy',
      'vpid',
      'pcid',
      ...COMMON_FACTS,
    ],
    conditionExample: 'access == "write" && mode == "dune"',
  },
  {
    filter: 'signal',
    kind: 'signal',
    label: 'Signal',
    description: 'Linux delivers a signal.',
    facts: ['signal', 'action', ...COMMON_FACTS],
    conditionExample: 'signal == SIGUSR1',
  },
];

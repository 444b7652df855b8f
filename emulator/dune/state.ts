/** Everything the module remembers: one graph of plain data, so that a snapshot is a clone of it. */
import type { CpuContext } from '../cpu/context.ts';
import type { KernelServices } from '../linux/api.ts';
import type { Explanation } from '../machine/api.ts';
import type { EventBody } from '../machine/events.ts';
import type { DuneRet } from './config.ts';
import type { Ept, EptState } from './ept.ts';
import { layoutOf, type Layout } from './windows.ts';

export interface DuneOptions {
  readonly physBits: number;
  readonly syscalls: 'modern' | 'strict';
  readonly cpus: number;
}

/** What the module's functions work on. */
export interface Dune {
  readonly context: CpuContext;
  readonly services: KernelServices;
  readonly options: DuneOptions;
  readonly ept: Ept;
  state: ModuleState;
  /** The windows that were asked for last: what they follow from, and they. */
  readonly latest: { mmapBase: number; startStack: number; layout: Layout | undefined };
}

export interface ModuleState {
  vcpus: Map<number, Vcpu>;
  nextVcpu: number;
  /** Host frames of each logical CPU, allocated when a vCPU first runs there. */
  cpus: (CpuFrames | undefined)[];
  /** The breakpoint bounce of each process, by pid. */
  traps: Map<number, Trap>;
  /** The last abnormal stop of each thread, by tid. */
  explanations: Map<number, Explanation>;
  /** Lints that have been told: what, and where it happened. */
  told: Set<string>;
}

export interface CpuFrames {
  /** HPAs. */
  vmxon: number;
  virtualApic: number;
  postedInterrupt: number;
}

export interface Vcpu {
  /** What user space holds is HANDLE_TAG | id. */
  readonly id: number;
  readonly pid: number;
  readonly openFile: number;
  readonly vpid: number;
  /** HPA of the VMCS region and of the MSR bitmap. */
  readonly vmcs: number;
  readonly msrBitmap: number;
  readonly ept: EptState;
  /** The logical CPU whose current VMCS this was last. */
  cpu: number;
  launched: boolean;
  /** The thread that entered last; it takes the vCPU with it when it exits. */
  owner: number;
  /** The thread inside ENTER, or 0. */
  tid: number;
  /** The vCPU that was running on the thread when it made the (VMCALL) ENTER for this one, or 0. */
  outer: number;
  /** HVA of the dune_config of the present ENTER, and its bytes as they came in. */
  configHva: bigint;
  config: Uint8Array;
  /** General registers while the guest does not run; RSP is in the VMCS. */
  registers: BigUint64Array;
  cr2: bigint;
  kernelGsBase: bigint;
  /** The thread's state page as it stood in the ENTER system call. */
  linux: Uint8Array;
  ret: DuneRet;
  status: bigint;
  /** ENTER returns at the next resume. */
  done: boolean;
  /** RIP of an instruction whose exit ends Dune mode, while a debugger holds it there: executed once more, it does end. */
  heldRip: bigint | undefined;
  /** Never cleared: a vCPU that has exited leaves at every VM exit. */
  shutdown: boolean;
  /** The VMCALL that is under way: its number. */
  pending: number | undefined;
  /** RIP goes back over the VMCALL at the next entry. */
  restart: boolean;
  /** The highest RSP it was entered with: where its stack begins, as far as the module can know. */
  stackTop: bigint;
}

export interface Trap {
  triggerRip: bigint;
  notifyFunction: bigint;
  registers: bigint;
  privateData: bigint;
  /** Schedule-ins to let pass. */
  delay: number;
}

/** Handles are no addresses, and look like none. */
export const HANDLE_TAG = 0xd00e_0000_0000n;

export function newState(): ModuleState {
  return { vcpus: new Map(), nextVcpu: 1, cpus: [], traps: new Map(), explanations: new Map(), told: new Set() };
}

export function layoutOfProcess(dune: Dune, pid: number): Layout {
  const { mmapBase, startStack } = dune.services.layout(pid);
  const { latest } = dune;
  if (latest.mmapBase !== mmapBase || latest.startStack !== startStack || !latest.layout) {
    latest.layout = layoutOf(dune.options.physBits, mmapBase, startStack);
    latest.mmapBase = mmapBase;
    latest.startStack = startStack;
  }
  return latest.layout;
}

/** "0x1f" */
export function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** Something the user of the debugger should know, and the program would never tell. True if a listener holds the event. */
export function diagnose(
  dune: Dune,
  summary: string,
  facts: Readonly<Record<string, bigint | number | string>> = {},
): boolean {
  return dune.context.events.emit('diagnostic', () => ({ summary, facts: { source: 'dune', ...facts } }));
}

/** A program that makes code as it runs could go wrong in any number of places. */
const MOST_TOLD = 4096;

/**
 * As `diagnose`, for what a process may do again and again. `what` names the matter and the place. Remembered whether or not
 * somebody listens, so that listening changes nothing.
 */
export function diagnoseOnce(dune: Dune, pid: number, what: string, body: () => EventBody): void {
  const { told } = dune.state;
  const key = `${pid} ${what}`;
  if (told.has(key) || told.size >= MOST_TOLD) return;
  told.add(key);
  dune.context.events.emit('diagnostic', () => {
    const { summary, facts } = body();
    return { summary, facts: { source: 'dune', ...facts } };
  });
}

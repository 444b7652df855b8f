/**
 * The Dune kernel module: the character device /dev/dune, and behind it a hypervisor for one process. It uses VT-x only by its
 * instructions and fields; host memory, host system calls and scheduling are the kernel's.
 */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import type { DuneDevice, KernelServices, SyscallResult, Thread } from '../linux/api.ts';
import { ExitReason } from '../vmx/exit-reasons.ts';
import { DuneIoctl, LAYOUT, LAYOUT_BYTES, OLD_ENTER, Structure } from './config.ts';
import { completeSyscall, enter, resume } from './enter.ts';
import { Ept } from './ept.ts';
import { vmExit } from './exits.ts';
import { interruptPending } from './ipi.ts';
import { lintException, lintPort, lintSignalFrame } from './lint.ts';
import {
  diagnoseOnce,
  hex,
  layoutOfProcess,
  newState,
  type Dune,
  type DuneOptions,
  type ModuleState,
  type Vcpu,
} from './state.ts';
import { settleLease, supplyPage } from './supply.ts';
import { trapDisable, trapEnable, trapHit } from './trap.ts';
import { check, destroyVcpu } from './vcpu.ts';
import { gpaRanges } from './windows.ts';

const EIO = 5n;
const ENOTTY = 25n;
const EPT_VPID_CAPABILITY = 0x48c;
const EPT_ACCESSED_DIRTY = 1n << 21n;
/** A vector of Linux's: the timer. */
const HOST_INTERRUPT = 0x8000_00ec;

export function createDuneDevice(context: CpuContext, services: KernelServices, options: DuneOptions): DuneDevice {
  const accessedDirty = ((context.vmx.capability(EPT_VPID_CAPABILITY) ?? 0n) & EPT_ACCESSED_DIRTY) !== 0n;
  const dune: Dune = {
    context,
    services,
    options,
    ept: new Ept(context.physical, services, accessedDirty),
    state: newState(),
    latest: { mmapBase: 0, startStack: 0, layout: undefined },
  };
  context.onPortAccess = (access) => lintPort(dune, access);
  context.onGuestException = (fault) => lintException(dune, fault);
  return {
    ioctl: (thread, openFile, request, argument) => ioctl(dune, thread, openFile, request, argument),
    release: (openFile) => destroyWhere(dune, (vcpu) => vcpu.openFile === openFile && vcpu.tid === 0),
    invalidateRange: (pid, start, end) => invalidateRange(dune, pid, start, end),
    vmExit: (thread) => vmExit(dune, thread),
    supplyPage: (thread) => supplyPage(dune, thread),
    settleLease: (thread) => settleLease(dune, thread),
    resume: (thread) => resume(dune, thread),
    completeSyscall(thread, result) {
      const vcpu = dune.state.vcpus.get(thread.vcpu);
      if (vcpu) completeSyscall(vcpu, result);
    },
    interrupt() {
      if (context.cpu.nonRoot)
        context.vmx.exit(ExitReason.ExternalInterrupt, { interruptionInformation: HOST_INTERRUPT });
    },
    interruptPending: (thread) => interruptPending(dune, thread.cpu),
    trapRip: (pid) => dune.state.traps.get(pid)?.triggerRip,
    trapHit: (thread) => trapHit(dune, thread),
    signalFrame: (thread, low, high) => lintSignalFrame(dune, thread, low, high),
    threadExited: (thread) => destroyWhere(dune, (vcpu) => vcpu.owner === thread.tid),
    explanations: () => dune.state.explanations,
    save: () => structuredClone(dune.state),
    restore(saved) {
      dune.state = structuredClone(saved) as ModuleState;
    },
  };
}

function ioctl(dune: Dune, thread: Thread, openFile: number, request: number, argument: bigint): SyscallResult {
  switch (request >>> 0) {
    case DuneIoctl.Enter:
      return enter(dune, thread, openFile, argument);
    case DuneIoctl.GetSyscall:
      return BigInt.asIntN(64, dune.context.mem.get64(L.MSR_LSTAR));
    case DuneIoctl.GetLayout:
      return getLayout(dune, thread, argument);
    case DuneIoctl.TrapEnable:
      return trapEnable(dune, thread, argument);
    case DuneIoctl.TrapDisable:
      return trapDisable(dune, thread);
    default:
      return unknown(dune, thread, request >>> 0);
  }
}

function getLayout(dune: Dune, thread: Thread, argument: bigint): bigint {
  const layout = layoutOfProcess(dune, thread.pid);
  const structure = new Structure(new Uint8Array(LAYOUT_BYTES));
  structure.set(LAYOUT.physLimit, layout.physLimit);
  structure.set(LAYOUT.baseMap, layout.baseMap);
  structure.set(LAYOUT.baseStack, layout.baseStack);
  return dune.services.copyOut(thread.pid, argument, structure.bytes) ? 0n : -EIO;
}

function unknown(dune: Dune, thread: Thread, request: number): bigint {
  const era = OLD_ENTER[request];
  if (era) {
    const headline = `ENTER with request ${hex(request)} is refused (ENOTTY): the program was built against ${era}`;
    diagnoseOnce(dune, thread.pid, `ioctl ${request}`, () => ({ summary: headline, facts: { request } }));
    dune.state.explanations.set(thread.tid, {
      headline,
      details: [`the present ENTER is ${hex(DuneIoctl.Enter)}, with a 176-byte structure`],
      advice: 'Build the program against the libdune of this project.',
    });
  } else
    diagnoseOnce(dune, thread.pid, `ioctl ${request}`, () => ({
      summary: `ioctl ${hex(request)} of /dev/dune is unknown (ENOTTY)`,
      facts: { request },
    }));
  return -ENOTTY;
}

function invalidateRange(dune: Dune, pid: number, start: bigint, end: bigint): void {
  for (const vcpu of dune.state.vcpus.values()) {
    if (vcpu.pid !== pid) continue;
    let found = false;
    for (const range of gpaRanges(layoutOfProcess(dune, pid), start, end))
      if (dune.ept.clear(vcpu.ept, Number(range.start), Number(range.end))) found = true;
    if (found) check('INVEPT', dune.context.vmx.invept(1, dune.ept.pointer(vcpu.ept)));
  }
}

function destroyWhere(dune: Dune, choose: (vcpu: Vcpu) => boolean): void {
  for (const vcpu of [...dune.state.vcpus.values()]) if (choose(vcpu)) destroyVcpu(dune, vcpu);
}

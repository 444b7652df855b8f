/** What the Dune module asks of the kernel (KernelServices). */
import type { KernelServices, UserPage } from './api.ts';
import { describeAddress } from './describe.ts';
import { syscallFromDune } from './dispatch.ts';
import { clone } from './fork.ts';
import { HUGE_PAGE, PAGE, allocateFrame, release } from './frames.ts';
import { fault } from './mm.ts';
import { HUGE_ADDRESS, PAGE_ADDRESS, PTE_P, PTE_PS, PTE_W, leafEntry } from './pagetables.ts';
import { signalPending } from './post.ts';
import { returnToUser } from './signals.ts';
import type { Linux, Process, Task } from './state.ts';
import { leasePages, offerPage, pageSupplied, settleLease } from './supply.ts';
import { cloneRequest } from './syscalls/process.ts';
import { now } from './time.ts';
import { copyIn, copyOut } from './usermem.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE, TASK_SIZE, findVma } from './vma.ts';

const RAX = 0;

export function createServices(linux: Linux): KernelServices {
  const process = (pid: number): Process | undefined => {
    const found = linux.state.processes.get(pid);
    return found && !found.zombie ? found : undefined;
  };
  return {
    allocateFrame: () => allocateFrame(linux.state.frames, linux.memory),
    freeFrame: (hpa) => release(linux.state.frames, hpa),
    userPage(pid, hva, write) {
      const owner = process(pid);
      return owner && userPage(linux, owner, hva, write);
    },
    offerPage(pid, hva, write) {
      const owner = process(pid);
      return owner !== undefined && offerPage(linux, owner, hva, write);
    },
    pageSupplied(pid) {
      pageSupplied(linux, process(pid)!);
    },
    leasePages: (pid, hva, frames) => leasePages(linux, process(pid)!, hva, frames),
    settleLease(pid, installed, taken) {
      settleLease(linux, process(pid)!, installed, taken);
    },
    copyIn(pid, hva, bytes) {
      const owner = process(pid);
      return owner && copyIn(linux, owner, Number(hva), bytes);
    },
    copyOut(pid, hva, data) {
      const owner = process(pid);
      return owner !== undefined && copyOut(linux, owner, Number(hva), data);
    },
    layout: (pid) => layoutBases(linux, pid),
    syscall: (thread, number, args) => syscallFromDune(linux, thread as Task, number, args),
    cloneFromDune(thread, number, args, childContext) {
      const task = thread as Task;
      task.call = { number, args };
      task.resuming = undefined;
      const result = clone(linux, task, cloneRequest(number, args), () => childContext);
      if (result === 'blocked') linux.engine.requestStop();
      return result;
    },
    signalPending: (thread) => signalPending(thread as Task),
    finishEnter(thread, result) {
      linux.cpu.setGpr(RAX, BigInt.asUintN(64, result));
      returnToUser(linux, thread as Task, { number: IOCTL, result });
    },
    now: () => now(linux),
    addCycles: (cycles) => linux.context.addCycles(cycles),
    isMapped(pid, hva) {
      const owner = process(pid);
      return owner !== undefined && findVma(owner.mm.vmas, Number(hva)) !== undefined;
    },
    describeAddress(pid, hva) {
      const owner = process(pid);
      return owner ? describeAddress(owner, Number(hva)) : `process ${pid} is gone`;
    },
    log: (text) => void linux.events.emit('diagnostic', () => ({ summary: text, facts: {} })),
  };
}

/** mm->mmap_base and mm->start_stack at exec. */
export function layoutBases(linux: Linux, pid: number): { mmapBase: number; startStack: number } {
  const mm = linux.state.processes.get(pid)?.mm;
  return mm ?? { mmapBase: 0, startStack: 0 };
}

const IOCTL = 16;

/** get_user_pages: honours the area's read and write rights, grows the stack, breaks copy-on-write. */
function userPage(linux: Linux, process: Process, hva: number, write: boolean): UserPage | undefined {
  if (hva >= TASK_SIZE) return undefined;
  const { mm } = process;
  const { memory } = linux;
  const wanted = write ? PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC;
  const needed = write ? PTE_P | PTE_W : PTE_P;
  for (let attempt = 0; attempt < 3; attempt++) {
    const vma = findVma(mm.vmas, hva);
    const at = vma !== undefined && (vma.prot & wanted) !== 0 ? leafEntry(memory, mm.root, hva) : 0;
    if (at !== 0) {
      const low = memory.read32(at);
      if ((low & needed) === needed)
        return low & PTE_PS
          ? { hpa: (low & HUGE_ADDRESS) >>> 0, pageSize: HUGE_PAGE, special: false }
          : { hpa: (low & PAGE_ADDRESS) >>> 0, pageSize: PAGE, special: false };
    }
    if (fault(linux, process, hva, write ? 'write' : 'read')) return undefined;
  }
  return undefined;
}

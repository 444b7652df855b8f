/** ENTER: into the guest, again and again, and out with an answer. */
import * as L from '../cpu/layout.ts';
import { Field } from '../vmx/fields.ts';
import type { SyscallResult, Thread } from '../linux/api.ts';
import { CONFIG, CONFIG_BYTES, CONFIG_GPR, DuneRet, Structure } from './config.ts';
import { explainEntryFailure } from './explain.ts';
import { HANDLE_TAG, diagnoseOnce, hex, type Dune, type Vcpu } from './state.ts';
import { apicFields, check, controlsOf, cpuFrames, createVcpu, ensureVmxOn, hostFields, read, write } from './vcpu.ts';

const EIO = 5n;
const ENOMEM = 12n;
const EINVAL = 22n;
const RSP = 4;

/** ioctl(DUNE_ENTER). The guest runs when the kernel resumes the thread. */
export function enter(dune: Dune, thread: Thread, openFile: number, argument: bigint): SyscallResult {
  const { services, context, state } = dune;
  const bytes = services.copyIn(thread.pid, argument, CONFIG_BYTES);
  if (!bytes) return -EIO;
  const config = new Structure(bytes);
  const handle = config.get(CONFIG.vcpu);
  const vcpu = handle
    ? state.vcpus.get(Number(handle - HANDLE_TAG))
    : createVcpu(dune, thread.pid, openFile, thread.cpu, config.get(CONFIG.cr3));
  if (!vcpu) return handle ? refuse(dune, thread, handle, 'it names no vCPU') : -ENOMEM;
  if (vcpu.pid !== thread.pid) return refuse(dune, thread, handle, `it belongs to process ${vcpu.pid}`);
  if (vcpu.tid) return refuse(dune, thread, handle, `thread ${vcpu.tid} is running it`);

  vcpu.owner = thread.tid;
  vcpu.tid = thread.tid;
  vcpu.outer = thread.vcpu;
  vcpu.linux = context.cpu.save();
  vcpu.configHva = argument;
  vcpu.config = bytes;
  vcpu.done = false;
  CONFIG_GPR.forEach((offset, register) => (vcpu.registers[register] = config.get(offset)));
  const rsp = config.get(CONFIG.rsp);
  if (rsp > vcpu.stackTop) vcpu.stackTop = rsp;
  makeCurrent(dune, vcpu, thread.cpu);
  write(dune, Field.guestRsp, rsp);
  write(dune, Field.guestRip, config.get(CONFIG.rip));
  write(dune, Field.guestRflags, config.get(CONFIG.rflags));
  for (const [field, value] of hostFields(dune)) write(dune, field, value);
  thread.vcpu = vcpu.id;
  state.explanations.delete(thread.tid);
  return 'no-return';
}

/** The public module follows the value as a kernel pointer; here it has to be the caller's own. */
function refuse(dune: Dune, { pid }: Thread, handle: bigint, why: string): bigint {
  diagnoseOnce(dune, pid, `handle ${handle}`, () => ({
    summary: `ENTER with vCPU handle ${hex(handle)} is refused: ${why}`,
    facts: { handle },
  }));
  return -EINVAL;
}

/** VMPTRLD, with the moves to another CPU that keep the VMCS and the TLB right. */
function makeCurrent(dune: Dune, vcpu: Vcpu, cpu: number): void {
  const { vmx } = dune.context;
  if (!ensureVmxOn(dune, cpu)) throw new Error('no memory for the VMXON region');
  if (vcpu.cpu !== cpu) {
    check('VMCLEAR', vmx.vmclear(vcpu.vmcs));
    vcpu.launched = false;
    vcpu.cpu = cpu;
    cpuFrames(dune, cpu);
    check('VMPTRLD', vmx.vmptrld(vcpu.vmcs));
    check('INVVPID', vmx.invvpid(1, vcpu.vpid, 0n));
    check('INVEPT', vmx.invept(1, dune.ept.pointer(vcpu.ept)));
    for (const [field, value] of apicFields(dune, cpu, controlsOf(dune))) write(dune, field, value);
  } else if (vmx.vmptrst() !== vcpu.vmcs) check('VMPTRLD', vmx.vmptrld(vcpu.vmcs));
}

export function resume(dune: Dune, thread: Thread): void {
  const { context, services, state } = dune;
  const { cpu, mem, vmx } = context;
  const vcpu = state.vcpus.get(thread.vcpu);
  if (!vcpu || cpu.nonRoot) return;
  makeCurrent(dune, vcpu, thread.cpu);
  if (vcpu.restart) {
    vcpu.restart = false;
    write(dune, Field.guestRip, read(dune, Field.guestRip) - VMCALL_BYTES);
  }
  if (vcpu.done) return finish(dune, thread, vcpu);
  if (services.signalPending(thread)) return finish(dune, thread, vcpu, DuneRet.Signal);
  cpu.gprs.set(vcpu.registers);
  mem.set64(L.MSR_KERNEL_GS_BASE, vcpu.kernelGsBase);
  mem.set64(L.CR2, vcpu.cr2);
  const status = vcpu.launched ? vmx.vmresume() : vmx.vmlaunch();
  if (status.kind === 'succeed') {
    // A failed entry for the guest's state came back as a VM exit, and has been dealt with.
    if (cpu.nonRoot) vcpu.launched = true;
    return;
  }
  state.explanations.set(thread.tid, explainEntryFailure(dune, status));
  finish(dune, thread, vcpu, DuneRet.UnhandledVmExit);
}

/** Takes the guest's registers over after a VM exit. */
export function saveGuest(dune: Dune, vcpu: Vcpu): void {
  const { cpu, mem } = dune.context;
  vcpu.registers.set(cpu.gprs);
  vcpu.registers[RSP] = read(dune, Field.guestRsp);
  vcpu.kernelGsBase = mem.get64(L.MSR_KERNEL_GS_BASE);
  vcpu.cr2 = mem.get64(L.CR2);
}

/** ENTER returns 0: the stopped guest goes to the structure, the thread back to Linux mode. */
export function finish(dune: Dune, thread: Thread, vcpu: Vcpu, ret?: DuneRet): void {
  const { services, state } = dune;
  if (ret !== undefined) vcpu.ret = ret;
  const config = new Structure(vcpu.config);
  CONFIG_GPR.forEach((offset, register) => config.set(offset, vcpu.registers[register]!));
  config.set(CONFIG.rsp, read(dune, Field.guestRsp));
  config.set(CONFIG.rip, read(dune, Field.guestRip));
  config.set(CONFIG.rflags, read(dune, Field.guestRflags));
  config.set(CONFIG.ret, BigInt(vcpu.ret));
  config.set(CONFIG.status, vcpu.status);
  config.set(CONFIG.vcpu, HANDLE_TAG + BigInt(vcpu.id));
  vcpu.tid = 0;
  vcpu.pending = undefined;
  thread.vcpu = vcpu.outer;
  const result = services.copyOut(thread.pid, vcpu.configHva, config.bytes) ? 0n : -EIO;
  const outer = state.vcpus.get(vcpu.outer);
  if (outer) return completeSyscall(outer, result);
  loadLinux(dune, vcpu);
  services.finishEnter(thread, result);
}

/** The part of the state page that both modes share: counters, VMX, XCR0 and debug registers, vector and x87 registers. */
const SHARED: readonly (readonly [start: number, end: number])[] = [
  [L.XCR0, L.DR6 + 8],
  [L.VMX_ON, L.TSC_OFFSET],
  [L.RETIRED, L.CYCLES + 8],
  [L.XMM, L.MXCSR + 4],
];

function loadLinux(dune: Dune, vcpu: Vcpu): void {
  const { context } = dune;
  context.cpu.load(linuxPage(dune, vcpu));
  context.engine.contextChanged();
}

/** The thread's Linux-mode state with what the guest shares with it as it is now. */
export function linuxPage(dune: Dune, vcpu: Vcpu): Uint8Array {
  const { bytes } = dune.context.mem;
  const page = vcpu.linux.slice();
  for (const [start, end] of SHARED) page.set(bytes.subarray(start, end), start - L.STATE);
  return page;
}

/** Linux's internal results that ask for the call to be made again. */
const ERESTARTSYS = -512n;
const ERESTARTNOHAND = -514n;
const ERESTART_RESTARTBLOCK = -516n;
const RESTART_SYSCALL = 219n;
const VMCALL_BYTES = 3n;

/** The result of the VMCALL the vCPU stopped for; its RIP stands behind it, and goes back for a restart. */
export function completeSyscall(vcpu: Vcpu, result: bigint): void {
  const restart = result <= ERESTARTSYS && result >= ERESTARTNOHAND;
  if (restart) vcpu.registers[0] = BigInt(vcpu.pending ?? 0);
  else if (result === ERESTART_RESTARTBLOCK) vcpu.registers[0] = RESTART_SYSCALL;
  else vcpu.registers[0] = BigInt.asUintN(64, result);
  // The VMCS may not be current now: another thread runs.
  vcpu.restart = restart || result === ERESTART_RESTARTBLOCK;
  vcpu.pending = undefined;
}

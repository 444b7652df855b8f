/** From the SYSCALL instruction, or a VMCALL in Dune mode, to the handler and back. */
import type { SyscallResult } from './api.ts';
import { COSTS } from './costs.ts';
import * as errno from './errno.ts';
import { formatCall, formatResult } from './format.ts';
import * as L from '../cpu/layout.ts';
import { signalPending } from './post.ts';
import { returnToUser } from './signals.ts';
import type { Linux, Task, Wait } from './state.ts';
import { SYSCALLS, syscallRow } from './syscalls/table.ts';

const RAX = L.GPR;
/** Results that ask for the call to be made again lie in this range (ERESTARTSYS and its kin). */
const LOWEST_RESTART = -516;
const HIGHEST_RESTART = -512;

/** A Linux-mode thread executed SYSCALL. */
export function enterSyscall(linux: Linux, task: Task): void {
  const number = linux.mem.get32(RAX) | 0;
  const plain = syscallRow(number)?.plain;
  if (plain) return completePlain(linux, task, number, plain(task));
  const args = argumentsOf(linux);
  task.call = { number, args };
  task.resuming = undefined;
  complete(linux, task, run(linux, task, number, args));
}

/** rdi rsi rdx r10 r8 r9, by x86 register number. */
function argumentsOf({ cpu: { gprs } }: Linux): readonly bigint[] {
  return [gprs[7]!, gprs[6]!, gprs[2]!, gprs[10]!, gprs[8]!, gprs[9]!];
}

/** The end of a call that cannot be restarted: as `run` and `complete`, with no bigint on the way. */
function completePlain(linux: Linux, task: Task, number: number, result: number): void {
  linux.context.addCycles(COSTS.syscall);
  if (linux.events.wants('host-syscall')) emit(linux, 'host-syscall', number, argumentsOf(linux), BigInt(result));
  linux.mem.setLow64(RAX, result);
  if (task.savedMask !== undefined || signalPending(task)) returnToUser(linux, task);
}

/** A system call of a thread in Dune mode. */
export function syscallFromDune(linux: Linux, task: Task, number: number, args: readonly bigint[]): SyscallResult {
  task.call = { number, args };
  task.resuming = undefined;
  const result = run(linux, task, number, args);
  if (result === 'blocked') linux.engine.requestStop();
  return result;
}

/** The wait of a thread may be over: its call is dispatched again. */
export function redispatch(linux: Linux, task: Task): void {
  const wait = task.wait as Wait;
  task.wait = undefined;
  task.ready = false;
  task.resuming = wait;
  const result = run(linux, task, wait.number, wait.args);
  task.resuming = undefined;
  if (task.vcpu === 0) complete(linux, task, result);
  else if (typeof result === 'bigint') linux.dune!.completeSyscall(task, result);
}

function complete(linux: Linux, task: Task, result: SyscallResult): void {
  if (result === 'blocked') {
    linux.engine.requestStop();
    return;
  }
  if (result === 'no-return') return;
  const { mem } = linux;
  mem.set64(RAX, BigInt.asUintN(64, result));
  const low = mem.get32(RAX) | 0;
  const plain = mem.get32(RAX + 4) !== 0xffff_ffff || low < LOWEST_RESTART || low > HIGHEST_RESTART;
  if (plain && task.savedMask === undefined && !signalPending(task)) return;
  returnToUser(linux, task, { number: task.call!.number, result });
}

function run(linux: Linux, task: Task, number: number, args: readonly bigint[]): SyscallResult {
  linux.context.addCycles(COSTS.syscall);
  const row = syscallRow(number);
  const dune = task.vcpu !== 0;
  const kind = dune ? 'vmcall-syscall' : 'host-syscall';
  // Told before it happens when it does not come back to tell.
  const leaves = row?.noReturn === true;
  if (leaves) emit(linux, kind, number, args, undefined);
  const result = row?.handler ? row.handler(linux, task, args) : missing(linux, number, args);
  if (result !== 'blocked' && (!leaves || typeof result === 'bigint'))
    emit(linux, kind, number, args, typeof result === 'bigint' ? result : undefined);
  return result;
}

function emit(
  linux: Linux,
  kind: 'vmcall-syscall' | 'host-syscall',
  number: number,
  args: readonly bigint[],
  result: bigint | undefined,
): void {
  if (!linux.events.wants(kind)) return;
  linux.events.emit(kind, () => {
    const shown = result === undefined ? '' : ` = ${formatResult(number, result)}`;
    const [a0, a1, a2, a3, a4, a5] = args as [bigint, bigint, bigint, bigint, bigint, bigint];
    return {
      summary: `${formatCall(linux, number, args)}${shown}`,
      facts: {
        number,
        syscall: SYSCALLS.get(number)?.name ?? `syscall_${number}`,
        a0,
        a1,
        a2,
        a3,
        a4,
        a5,
        result: result ?? 0n,
      },
    };
  });
}

function missing(linux: Linux, number: number, args: readonly bigint[]): bigint {
  const { reported } = linux.state;
  if (!reported.has(number)) {
    reported.add(number);
    const name = SYSCALLS.get(number)?.name ?? 'unknown';
    linux.events.emit('diagnostic', () => ({
      summary: `system call ${number} (${name}) is not implemented: the program gets ENOSYS`,
      facts: { number, syscall: name, a0: args[0] ?? 0n },
    }));
  }
  return errno.ENOSYS;
}

/** The form of a system-call handler, and readers of its arguments. */
import type { SyscallResult } from '../api.ts';
import type { Linux, Task } from '../state.ts';

/** Runs one system call for a task. Arguments are the raw registers rdi rsi rdx r10 r8 r9. */
export type Handler = (linux: Linux, task: Task, args: readonly bigint[]) => SyscallResult;

/** A call that takes no arguments, never waits and never fails; on numbers, since these are the cheapest calls and a bigint is an allocation. */
export type PlainHandler = (task: Task) => number;

/** As C's int. */
export function int(argument: bigint | undefined): number {
  return Number(BigInt.asIntN(32, argument ?? 0n));
}
/** As C's unsigned int. */
export function uint(argument: bigint | undefined): number {
  return Number(BigInt.asUintN(32, argument ?? 0n));
}
/** A user address or a size. Values beyond 2^53 stay beyond any user address. */
export function size(argument: bigint | undefined): number {
  return Number(argument ?? 0n);
}
/** As C's long. */
export function long(argument: bigint | undefined): bigint {
  return BigInt.asIntN(64, argument ?? 0n);
}

/** What traps after an instruction executed singly (SDM 3B 18.3.1.4), and repeated string instructions an element at a time. */
import { SHADOW } from './activity.ts';
import { REPEAT_PART } from './codes.ts';
import { partCycles } from './costs.ts';
import type { DecodedInstruction } from './decode.ts';
import * as L from './layout.ts';
import type { LinearMemory } from './state.ts';
import { Flag } from './system/rflags.ts';

const FLAG_TF = Flag.TF;
const PART = BigInt(REPEAT_PART);
const DEBUGCTL_BTF = 2;
const RCX = L.GPR + 8;
const COMPARING = new Set(['cmps', 'scas']);

/**
 * Instructions after which TF as they leave it decides, not as they found it: what enters a handler that starts with TF clear, and SYSCALL and SYSRET,
 * which load the flags before the trap is looked for.
 */
const BY_NEW_FLAGS = new Set(['int', 'int1', 'int3', 'into', 'syscall', 'sysret']);
/** Those of them whose handler is Linux itself: it comes back by an IRET, after which an instruction is executed first. */
const KERNEL_ENTRIES = new Set(['int', 'int1', 'int3', 'syscall']);

/** Whether something comes between the next instruction and the one after it: traps, the monitor trap flag, the end of a shadow. */
export function stepsSingly(mem: LinearMemory): boolean {
  return (
    (mem.get32(L.PENDING_EVENTS) & (L.MONITOR_TRAP | L.APIC_REDIRECTED)) !== 0 ||
    (mem.get32(L.SYSTEM_FLAGS) & (FLAG_TF | Flag.RF)) !== 0 ||
    (mem.get32(L.INTERRUPTIBILITY) & SHADOW) !== 0
  );
}

/** What was before the instruction. */
export interface Before {
  readonly nonRoot: number;
  /** In ring 3 above a kernel that is not in the machine. */
  readonly supervised: boolean;
}

/**
 * Whether an instruction that began with RFLAGS.TF set and has completed ends in a single-step trap.
 * @param ranOn RIP stands right behind it
 */
export function trapsAfter(mem: LinearMemory, insn: DecodedInstruction, before: Before, ranOn: boolean): boolean {
  if (mem.get32(L.NON_ROOT) !== before.nonRoot) return false;
  if (before.supervised && KERNEL_ENTRIES.has(insn.op)) return false;
  if (BY_NEW_FLAGS.has(insn.op) && !(mem.get32(L.SYSTEM_FLAGS) & FLAG_TF)) return false;
  return !(mem.get32(L.MSR_DEBUGCTL) & DEBUGCTL_BTF) || isTakenBranch(insn, ranOn);
}

function isTakenBranch({ row }: DecodedInstruction, ranOn: boolean): boolean {
  const { branch } = row;
  if (branch === undefined || branch === 'conditional' || branch === 'system') return branch !== undefined && !ranOn;
  return true;
}

/** The rest of a REP MOVS, STOS, LODS, CMPS or SCAS while one element of it is executed. */
export class Repetition {
  readonly #count: bigint;
  readonly #mask: bigint;

  private constructor(
    private readonly mem: LinearMemory,
    private readonly insn: DecodedInstruction,
    addressSize: number,
    private readonly whole: bigint,
  ) {
    this.#mask = (1n << BigInt(addressSize)) - 1n;
    this.#count = whole & this.#mask;
  }

  /** Undefined if the instruction has no more than one element to go. String I/O does one at a time by itself. */
  static of(mem: LinearMemory, insn: DecodedInstruction): Repetition | undefined {
    if (insn.rep === 'none' || insn.row.system) return undefined;
    const operand = insn.operands.find((one) => one.kind === 'memory');
    if (!operand) return undefined;
    const repetition = new Repetition(mem, insn, operand.addressSize, mem.get64(RCX));
    return repetition.#count > 1n ? repetition : undefined;
  }

  begin(): void {
    this.#setCount(1n);
  }
  /** The element faulted: nothing was done. */
  giveUp(): void {
    this.mem.set64(RCX, this.whole);
  }
  /** After the element. True if the instruction is not over. `zero`: RFLAGS.ZF. */
  goesOn(zero: boolean): boolean {
    this.#setCount(this.#count - 1n);
    return !COMPARING.has(this.insn.op) || zero === (this.insn.rep === 'rep');
  }

  /** Whether it has come to the end of a part (REPEAT_PART); only if it goes on. */
  get atPartEnd(): boolean {
    return (this.#count - 1n) % PART === 0n;
  }
  get partCycles(): number {
    return partCycles(this.insn.op, this.insn.size);
  }

  #setCount(count: bigint): void {
    const kept = this.#mask === 0xffffn ? this.whole & ~0xffffn : 0n;
    this.mem.set64(RCX, kept | count);
  }
}

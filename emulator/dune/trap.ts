/**
 * TRAP_ENABLE and TRAP_DISABLE: how libdune lets a debugger of Linux mode see a breakpoint of Dune mode. It goes on at the
 * breakpoint in Linux mode; when that thread is about to run there again, it is diverted to a notify function instead,
 * which re-enters. One configuration a process.
 */
import * as L from '../cpu/layout.ts';
import { Flag, readRflags, writeRflags } from '../cpu/system/rflags.ts';
import type { Thread } from '../linux/api.ts';
import { Structure, TRAP_CONFIG, TRAP_CONFIG_BYTES, TRAP_REGISTERS, TRAP_REGISTERS_BYTES } from './config.ts';
import type { Dune } from './state.ts';

const EIO = 5n;
const EINVAL = 22n;
const RSI = 6;
const RDI = 7;
/** What the System V ABI leaves below RSP. */
const RED_ZONE = 128n;

export function trapEnable(dune: Dune, thread: Thread, argument: bigint): bigint {
  const bytes = dune.services.copyIn(thread.pid, argument, TRAP_CONFIG_BYTES);
  if (!bytes) return -EIO;
  const config = new Structure(bytes);
  if (config.get(TRAP_CONFIG.registersSize) !== BigInt(TRAP_REGISTERS_BYTES)) return -EINVAL;
  dune.state.traps.set(thread.pid, {
    triggerRip: config.get(TRAP_CONFIG.triggerRip),
    notifyFunction: config.get(TRAP_CONFIG.notifyFunction),
    registers: config.get(TRAP_CONFIG.registers),
    privateData: config.get(TRAP_CONFIG.privateData),
    delay: config.byte(TRAP_CONFIG.delay),
  });
  return 0n;
}

export function trapDisable(dune: Dune, thread: Thread): bigint {
  dune.state.traps.delete(thread.pid);
  return 0n;
}

/** The running thread, in Linux mode, stands on the trigger. */
export function trapHit(dune: Dune, thread: Thread): void {
  const { services, context, state } = dune;
  const { cpu, mem } = context;
  const trap = state.traps.get(thread.pid);
  if (!trap) return;
  if (trap.delay > 0) {
    trap.delay--;
    return;
  }
  state.traps.delete(thread.pid);
  const rflags = readRflags(context);
  const registers = new Structure(new Uint8Array(TRAP_REGISTERS_BYTES));
  TRAP_REGISTERS.forEach((register, slot) => registers.set(slot * 8, cpu.gpr(register)));
  registers.set(TRAP_REGISTERS.length * 8, cpu.rip);
  registers.set((TRAP_REGISTERS.length + 1) * 8, BigInt(rflags));
  if (!services.copyOut(thread.pid, trap.registers, registers.bytes)) return;
  writeRflags(context, rflags & ~Flag.TF);
  mem.set64(L.RIP, trap.notifyFunction);
  cpu.setGpr(RDI, trap.registers);
  cpu.setGpr(RSI, trap.privateData);
  cpu.rsp = cpu.rsp - RED_ZONE;
}

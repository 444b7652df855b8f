/** The common EPT violation, which the core serves whole (core/page-supply.ts); exits.ts serves every one. */
import * as C from '../cpu/codes.ts';
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';
import type { Thread } from '../linux/api.ts';
import { ADDRESS_WIDTH, LINEAR_VALID, WRITE } from './qualification.ts';
import { layoutOfProcess, type Dune, type Vcpu } from './state.ts';
import { hvaOfGpa, windowAt } from './windows.ts';

const TWO_32 = 2 ** 32;
const EPT_ROOT = L.SUPPLY_EPT_ROOT >>> 2;

/** The EPT violation in FAULT_* of the running thread's guest: SUPPLY_*. */
export function supplyPage(dune: Dune, thread: Thread): number {
  const { context, services } = dune;
  const { u32 } = context.mem;
  const vcpu = dune.state.vcpus.get(thread.vcpu);
  if (!vcpu || vcpu.done || vcpu.shutdown || vcpu.restart || vcpu.heldRip !== undefined) return C.SUPPLY_NONE;
  if (vcpu.cpu !== thread.cpu || u32[L.VMCS_POINTER >>> 2] !== vcpu.vmcs) return C.SUPPLY_NONE;
  const qualification = u32[L.FAULT_QUALIFICATION >>> 2]!;
  if (qualification & ADDRESS_WIDTH || !(qualification & LINEAR_VALID)) return C.SUPPLY_NONE;
  const gpa = u32[L.FAULT_GPA >>> 2]! + u32[(L.FAULT_GPA + 4) >>> 2]! * TWO_32;
  const hva = hvaOfGpa(layoutOfProcess(dune, thread.pid), gpa);
  const write = (qualification & WRITE) !== 0;
  if (hva < 0 || services.signalPending(thread) || !services.offerPage(thread.pid, hva, write)) return C.SUPPLY_NONE;
  u32[EPT_ROOT] = vcpu.ept.root;
  u32[EPT_ROOT + 1] = dune.ept.leafBits(write);
  // As saveGuest (enter.ts) after the exit.
  vcpu.registers.set(context.cpu.gprs);
  vcpu.kernelGsBase = context.mem.get64(L.MSR_KERNEL_GS_BASE);
  vcpu.cr2 = context.mem.get64(L.CR2);
  const served = context.core.supplyPage(L.RAM_BASE + vcpu.vmcs);
  if (served !== C.SUPPLY_NONE) services.pageSupplied(thread.pid);
  if (served === C.SUPPLY_RETURNED) lend(dune, thread.pid, vcpu, gpa, hva);
  return served;
}

/** Frames of a lease, as many as a table has entries: where the next one begins the core declines, and a new lease is made. */
const LEASED = 512;

/** The core may serve what comes next by itself, as long as it meets the same area through the same window (core/page-lease.ts). */
function lend(dune: Dune, pid: number, vcpu: Vcpu, gpa: number, hva: number): void {
  const { mem } = dune.context;
  const area = dune.services.leasePages(pid, hva, LEASED);
  const window = windowAt(layoutOfProcess(dune, pid), gpa);
  const start = Math.max(area.start, window.hva);
  const end = Math.min(area.end, window.hva + window.bytes);
  setAddress(mem, L.LEASE_HVA, start);
  setAddress(mem, L.LEASE_GPA, start - window.hva + window.gpa);
  setAddress(mem, L.LEASE_GPA_END, end - window.hva + window.gpa);
  mem.set32(L.LEASE_EPT_READ, dune.ept.leafBits(false));
  mem.set32(L.LEASE_EPT_WRITE, dune.ept.leafBits(true));
  mem.set32(L.LEASE, L.RAM_BASE + vcpu.vmcs);
}
function setAddress(mem: LinearMemory, at: number, address: number): void {
  mem.set32(at, address);
  mem.set32(at + 4, address / TWO_32);
}

export function settleLease(dune: Dune, thread: Thread): void {
  const { mem } = dune.context;
  const vcpu = dune.state.vcpus.get(thread.vcpu)!;
  const installed = mem.get32(L.LEASE_INSTALLED);
  const taken = mem.get32(L.LEASE_TAKEN);
  mem.set32(L.LEASE_INSTALLED, 0);
  mem.set32(L.LEASE_TAKEN, 0);
  dune.services.settleLease(thread.pid, installed, taken);
  const first = L.LEASE_REGISTERS >>> 3;
  vcpu.registers.set(mem.u64.subarray(first, first + 16));
  vcpu.kernelGsBase = mem.u64[first + 16]!;
  vcpu.cr2 = mem.u64[first + 17]!;
}

/**
 * Mistakes that the program does not notice, or notices too late to see why. Each is a diagnostic event, told once for each
 * place it happens.
 */
import type { Exception, PortAccess } from '../cpu/context.ts';
import { alignmentText, misalignedVector } from '../cpu/system/alignment.ts';
import { Vector } from '../cpu/system/fault.ts';
import { entryName } from '../mmu/entries.ts';
import type { EventBody } from '../machine/events.ts';
import type { Thread } from '../linux/api.ts';
import { DuneRet } from './config.ts';
import { diagnoseOnce, hex, layoutOfProcess, type Dune, type Vcpu } from './state.ts';
import { windowOfHva } from './windows.ts';

const RSP = 4;
const RESERVED_BIT = 8;
const PRESENT = 1;
const USER = 4;
const ADDRESS = 0x000f_ffff_ffff_f000n;
const FOUR_GB = 0x1_0000_0000n;
/** Where libdune has its page pool. */
const POOL = 0x2_0000_0000n;
const PAGE = 0x1000n;
/** What an instruction reaches below RSP by pushing, or a function in its red zone. */
const BELOW_RSP = 128n;
const ENTRY_USER = 4n;
/** More is hardly one stack. */
const LARGEST_STACK = 1n << 20n;

/** The vCPU that the processor is in. */
function running(dune: Dune): Vcpu | undefined {
  if (!dune.context.cpu.nonRoot) return undefined;
  const vmcs = dune.context.vmx.vmptrst();
  return [...dune.state.vcpus.values()].find((vcpu) => vcpu.vmcs === vmcs);
}

/** The module lets a guest reach the ports of the machine it runs on. There are none here. */
export function lintPort(dune: Dune, { port, bytes, input, string }: PortAccess): void {
  const vcpu = running(dune);
  if (!vcpu) return;
  const { cpu } = dune.context;
  const { rip, cpl } = cpu;
  diagnoseOnce(dune, vcpu.pid, `port ${hex(rip)}`, () => {
    const name = `${input ? 'IN' : 'OUT'}${string ? 'S' : ''}`;
    const effect = input ? 'it reads all ones' : 'nothing is written';
    return {
      summary:
        `${name} ${input ? 'from' : 'to'} port ${hex(port)}, ${bytes} byte${bytes === 1 ? '' : 's'}, at RIP ${hex(rip)} in ring ${cpl}: ` +
        `there is no port in this machine; ${effect}. Under the real module it would reach the hardware`,
      facts: { port, bytes, direction: input ? 'in' : 'out', rip },
    };
  });
}

export function lintException(dune: Dune, fault: Exception): void {
  const code = fault.errorCode ?? 0;
  if (fault.vector === Vector.GP) lintAlignment(dune);
  else if (fault.vector !== Vector.PF || fault.gva === undefined) return;
  else if (code & RESERVED_BIT) lintReservedBit(dune, fault.gva);
  else if ((code & (PRESENT | USER)) === (PRESENT | USER)) lintUserStack(dune, fault.gva);
  else if (!(code & PRESENT) && fault.gva >= FOUR_GB && fault.gva < POOL) lintFullMap(dune, fault.gva);
}

/** MOVAPS on a stack that is not a multiple of 16: so run the handlers of the public libdune. */
function lintAlignment(dune: Dune): void {
  const { context } = dune;
  const found = misalignedVector(context);
  const vcpu = running(dune);
  if (!found || !vcpu) return;
  const { rip, rsp, cpl } = context.cpu;
  diagnoseOnce(dune, vcpu.pid, `alignment ${hex(rip)}`, () => ({
    summary:
      `#GP at RIP ${hex(rip)} in ring ${cpl}: ${alignmentText(found)}` +
      (found.stack
        ? `: the stack is misaligned by ${found.gva % 16n} (RSP ${hex(rsp)}). Code compiled for the System V ABI was entered with ` +
          `RSP not 16n + 8, as the trap stubs of the public libdune enter handlers`
        : ''),
    facts: { rip, gva: found.gva, rsp },
  }));
}

/** An address that is no GPA: mostly a Linux address that was put into an entry as it was, and that no window holds. */
function lintReservedBit(dune: Dune, gva: bigint): void {
  const vcpu = running(dune);
  if (!vcpu) return;
  const { rip } = dune.context.cpu;
  diagnoseOnce(dune, vcpu.pid, `reserved bit ${hex(rip)}`, (): EventBody => {
    const step = dune.context.mmu.walk(gva, 'read').steps.find(({ outcome }) => outcome === 'reserved-bit');
    if (!step) return { summary: `#PF with a reserved bit at ${hex(gva)}`, facts: { gva, rip } };
    const layout = layoutOfProcess(dune, vcpu.pid);
    const address = step.entry & ADDRESS;
    const entry = `the ${entryName(step)} at gpa:${hex(step.gpa)} = ${hex(step.entry)}`;
    const windows = layout.windows.map(({ name, hva, bytes }) => `${name} ${hex(hva)}..${hex(hva + bytes)}`).join(', ');
    const missed = windowOfHva(layout, address)
      ? `As a Linux address it has to go through dune_va_to_pa()`
      : `As a Linux address it lies in no window (${windows}), so Dune cannot map it`;
    const why =
      address >= layout.physLimit
        ? `holds address ${hex(address)}, beyond the ${hex(layout.physLimit)} of guest-physical memory. ${missed}`
        : 'sets a bit that has to be 0';
    return {
      summary: `#PF with a reserved bit at ${hex(gva)}: ${entry} ${why}`,
      facts: { gva, rip, entry: step.entry, address },
    };
  });
}

/** dune_enter leaves the stack of the thread to ring 0 alone. */
function lintUserStack(dune: Dune, gva: bigint): void {
  const { context } = dune;
  const { rip, rsp } = context.cpu;
  const vcpu = running(dune);
  if (!vcpu || gva < rsp - BELOW_RSP || gva >= rsp + PAGE) return;
  const step = context.mmu
    .walk(gva, 'read')
    .steps.find(({ table, entry }) => table === 'guest' && !(entry & ENTRY_USER));
  if (!step) return;
  diagnoseOnce(dune, vcpu.pid, `user stack ${hex(rip)}`, () => ({
    summary:
      `#PF in ring 3 on its own stack at ${hex(gva)} (RSP ${hex(rsp)}): the ${entryName(step)} at gpa:${hex(step.gpa)} = ` +
      `${hex(step.entry)} lacks the user bit. dune_enter() gives the stack of its thread to ring 0 alone: ` +
      'use another, or dune_vm_mprotect() with PERM_U',
    facts: { gva, rip, rsp, entry: step.entry },
  }));
}

/** libdune's full map covers the first 4 GB of the identity window, and a heap may grow beyond. */
function lintFullMap(dune: Dune, gva: bigint): void {
  const { context, services } = dune;
  const vcpu = running(dune);
  if (!vcpu || context.mmu.walk(FOUR_GB - PAGE, 'read').result.kind === 'page-fault') return;
  if (!services.isMapped(vcpu.pid, gva)) return;
  diagnoseOnce(dune, vcpu.pid, 'full map', () => ({
    summary:
      `#PF at ${hex(gva)}: Linux has memory there (${services.describeAddress(vcpu.pid, gva)}), but the guest's page tables end at 4 GB, ` +
      "as libdune's full map does: map what lies above with dune_vm_map_phys()",
    facts: { gva, rip: context.cpu.rip },
  }));
}

/**
 * A signal frame is about to be written to [low, high) of the thread's Linux-mode stack. The guest's stack is the kernel's no
 * concern: when both modes use one stack, and the guest is deeper in it, the frame destroys what the guest has there.
 */
export function lintSignalFrame(dune: Dune, thread: Thread, low: bigint, high: bigint): void {
  for (const vcpu of dune.state.vcpus.values()) {
    if (vcpu.owner !== thread.tid || vcpu.tid !== 0 || vcpu.ret !== DuneRet.Signal) continue;
    const rsp = vcpu.registers[RSP]!;
    const { stackTop } = vcpu;
    if (rsp >= high || low >= stackTop || stackTop - rsp > LARGEST_STACK) continue;
    diagnoseOnce(dune, vcpu.pid, 'signal frame', () => ({
      summary:
        `the signal frame at ${hex(low)}..${hex(high)} overwrites the live stack of the guest (${hex(rsp)}..${hex(stackTop)}): ` +
        'Linux mode and Dune mode share this stack, and the guest is deeper in it. Give the handler a stack of its own (sigaltstack before entering)',
      facts: { low, high, rsp, stackTop },
    }));
  }
}

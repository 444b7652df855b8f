/** Looking at a thread that is not the running one: its context is loaded, asked, and the running one put back. */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { gpaToHva, layoutOf } from '../dune/windows.ts';
import type { Thread } from '../linux/api.ts';
import type { Walk } from '../mmu/api.ts';
import { PAGE_ENTRY } from '../mmu/entries.ts';
import { PAGING_LEVELS, pagingMode } from '../mmu/modes.ts';
import { PAGE_SIZE } from '../mmu/physical.ts';
import { pageTableNodes } from '../mmu/tree.ts';
import { SHADOW_INDICATOR, VMCS_REVISION } from '../vmx/capabilities.ts';
import { Secondary } from '../vmx/controls.ts';
import { describeEntry, describeVmcs, type VmEntryInfo, writeVmcsField } from '../vmx/describe.ts';
import { type ExitList, exitLists } from '../vmx/exit-lists.ts';
import { Field } from '../vmx/fields.ts';
import { secondaryControls } from '../vmx/queries.ts';
import { CurrentVmcs } from '../vmx/vmcs.ts';
import { type ExitPrediction, type ExitQuestion, wouldExit } from '../vmx/would-exit.ts';
import type { Disassemble, DisassembledInstruction, PageTableNode, RegisterInfo, Space, VmcsChoice, VmcsFieldInfo, VmcsRegionInfo } from './api.ts'; // prettier-ignore
import type { Personality } from './personality.ts';
import { isOtherLevel, isSwitched, otherLevelOf, processorOf, type OtherLevel } from './levels.ts';
import { register, registers, writeRegister } from './registers.ts';

/** No x86 instruction is longer. */
const LONGEST_INSTRUCTION = 15;

export class Inspector {
  readonly #saved: Uint8Array = new Uint8Array(L.STATE_SIZE);

  constructor(
    readonly context: CpuContext,
    readonly kernel: Personality,
    readonly loadDisassembler: () => Disassemble,
  ) {}

  /** Calls `look` with the thread's state in the CPU. With `keep`, what it changes stays the thread's. */
  #with<T>(id: number, look: (thread: Thread) => T, keep = false): T {
    if (isOtherLevel(id)) return this.#with(processorOf(id), (thread) => this.#atOtherLevel(thread, look));
    const tid = id;
    const { cpu, engine } = this.context;
    const thread = this.kernel.thread(tid);
    if (!thread) throw new Error(`There is no thread ${tid}.`);
    if (thread === this.kernel.current()) {
      const result = look(thread);
      if (keep) engine.contextChanged();
      return result;
    }
    cpu.save(this.#saved);
    cpu.load(thread.context);
    engine.contextChanged();
    try {
      const result = look(thread);
      if (keep) cpu.save(thread.context);
      return result;
    } finally {
      cpu.load(this.#saved);
      engine.contextChanged();
    }
  }

  /** The engine hears nothing of it: looking must not touch the TLB. */
  #atOtherLevel<T>(thread: Thread, look: (thread: Thread) => T): T {
    const { mem, vmx } = this.context;
    if (!vmx.hasOtherLevel()) throw new Error('No VMCS is current that has been launched: there is no other level.');
    const state = mem.bytes.slice(L.STATE, L.STATE + L.STATE_SIZE);
    const fault = mem.bytes.slice(L.FAULT_KIND, L.FAULT_QUALIFICATION + 8);
    try {
      vmx.showOtherLevel();
      return look(thread);
    } finally {
      mem.bytes.set(state, L.STATE);
      mem.bytes.set(fault, L.FAULT_KIND);
    }
  }

  /** What the other level of a thread's processor is, if there is one. */
  otherLevel(tid: number): OtherLevel | undefined {
    const exists = !isOtherLevel(tid) && this.#with(tid, () => this.context.vmx.hasOtherLevel());
    const id = otherLevelOf(tid);
    return exists
      ? this.#with(id, () => ({ id, nonRoot: this.context.cpu.nonRoot, cpl: this.context.cpu.cpl }))
      : undefined;
  }

  registers(tid: number): RegisterInfo[] {
    return this.#with(tid, () => registers(this.context)).filter((row) => !isOtherLevel(tid) || isSwitched(row));
  }
  readRegister(tid: number, name: string): bigint | undefined {
    return this.#with(tid, () => {
      const found = register(this.context, name);
      return found && (!isOtherLevel(tid) || isSwitched(found)) ? found.value : undefined;
    });
  }
  writeRegister(tid: number, name: string, value: bigint): void {
    if (isOtherLevel(tid))
      throw new Error('The registers of the level that does not run are in the VMCS: set the field there.');
    this.#with(tid, () => writeRegister(this.context, name, value), true);
  }

  /** HPA of a byte of a space as the loaded thread sees it, or -1. */
  #locate(space: Space, address: bigint): number {
    const { mmu } = this.context;
    if (space === 'gva') return mmu.peek(BigInt.asUintN(64, address));
    if (space === 'gpa') return mmu.gpaToHpa(Number(address));
    return this.context.physical.has(Number(address)) ? Number(address) : -1;
  }

  /** The process's own address behind an address of the loaded thread: the same in Linux mode, through Dune's windows else. */
  #hva(thread: Thread, space: Space, address: bigint): bigint | undefined {
    if (space === 'hpa') return undefined;
    if (!thread.vcpu) return BigInt.asUintN(64, address);
    const { mmapBase, startStack } = this.kernel.layout(thread.pid);
    const layout = layoutOf(this.context.mem.get32(L.PHYS_BITS), mmapBase, startStack);
    const behind = (gpa: bigint): bigint | undefined => gpaToHva(layout, gpa);
    if (space === 'gpa') return behind(address);
    const gpa = this.#guestPhysical(thread, BigInt.asUintN(64, address), behind);
    return gpa === undefined ? undefined : behind(gpa);
  }

  /** Walks the guest's own tables by the process's memory: the EPT maps them only once the processor has been there. */
  #guestPhysical(thread: Thread, gva: bigint, hvaOf: (gpa: bigint) => bigint | undefined): bigint | undefined {
    let table = this.context.cpu.cr3 & PAGE_ENTRY.address;
    for (let level = BigInt(PAGING_LEVELS[pagingMode(this.context.mem)]); level > 0n; level--) {
      const shift = 3n + 9n * level;
      const hva = hvaOf(table + ((gva >> shift) & 0x1ffn) * 8n);
      const bytes = hva === undefined ? undefined : this.kernel.peek(thread.pid, hva, 8);
      if (bytes?.length !== 8) return undefined;
      const entry = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
      if ((entry & PAGE_ENTRY.present) === 0n) return undefined;
      const inside = (1n << shift) - 1n;
      if (level === 1n || (entry & PAGE_ENTRY.large) !== 0n)
        return (entry & PAGE_ENTRY.address & ~inside) | (gva & inside);
      table = entry & PAGE_ENTRY.address;
    }
    return undefined;
  }

  /** Calls `chunk` for each piece within a page until one transfers less than its length; returns bytes passed. */
  #pieces(address: bigint, bytes: number, chunk: (address: bigint, at: number, length: number) => number): number {
    let at = 0;
    while (at < bytes) {
      const next = address + BigInt(at);
      const length = Math.min(bytes - at, PAGE_SIZE - Number(next & BigInt(PAGE_SIZE - 1)));
      const passed = chunk(next, at, length);
      at += passed;
      if (passed < length) break;
    }
    return at;
  }

  /** Pages that are not there yet, or that the EPT does not map yet, read as the process would find them. */
  readMemory(tid: number, space: Space, address: bigint, bytes: number): Uint8Array {
    return this.#with(tid, (thread) => {
      const { physical } = this.context;
      const data = new Uint8Array(bytes);
      const read = this.#pieces(address, bytes, (next, at, length) => {
        const hpa = this.#locate(space, next);
        if (hpa >= 0 && physical.has(hpa, length)) {
          data.set(physical.slice(hpa, length), at);
          return length;
        }
        const hva = this.#hva(thread, space, next);
        const found = hva === undefined ? new Uint8Array(0) : this.kernel.peek(thread.pid, hva, length);
        data.set(found, at);
        return found.length;
      });
      return data.subarray(0, read);
    });
  }

  /** A process's pages are written as ptrace would, so that what others share stays theirs. */
  writeMemory(tid: number, space: Space, address: bigint, data: Uint8Array): number {
    return this.#with(tid, (thread) =>
      this.#pieces(address, data.length, (next, at, length) => {
        const piece = data.subarray(at, at + length);
        const hva = this.#hva(thread, space, next);
        const written = hva === undefined ? 0 : this.kernel.poke(thread.pid, hva, piece);
        if (written > 0) return written;
        const hpa = this.#locate(space, next);
        if (hpa < 0 || !this.context.physical.has(hpa, length)) return 0;
        this.context.physical.write(hpa, piece);
        return length;
      }),
    );
  }

  walk(tid: number, gva: bigint, access: 'read' | 'write' | 'execute', user?: boolean): Walk {
    return this.#with(tid, () => this.context.mmu.walk(BigInt.asUintN(64, gva), access, user));
  }

  pageTable(tid: number, which: 'guest' | 'ept', tableHpa?: number, level?: number, start?: bigint): PageTableNode[] {
    const { mem, mmu } = this.context;
    const parts = { mem, physical: this.context.physical, mmu };
    return this.#with(tid, () => pageTableNodes(parts, which, tableHpa, level, start));
  }

  /** Calls `look` if there is such a VMCS, which is then current. */
  #withVmcs<T>(id: number, which: VmcsChoice, look: (vmcs: CurrentVmcs) => T): T | undefined {
    return this.#with(processorOf(id), () => {
      const vmcs = new CurrentVmcs(this.context.mem);
      if (vmcs.pointer < 0) return undefined;
      if (which === 'current') return look(vmcs);
      const link = this.#linkOf(vmcs);
      if (link === undefined) return undefined;
      const current = vmcs.pointer;
      vmcs.pointer = link;
      try {
        return look(vmcs);
      } finally {
        vmcs.pointer = current;
      }
    });
  }
  /** HPA of the shadow VMCS that the link pointer names. */
  #linkOf(vmcs: CurrentVmcs): number | undefined {
    const link = Number(vmcs.read(Field.vmcsLinkPointer));
    const { physical } = this.context;
    const named = link % PAGE_SIZE === 0 && physical.has(link, PAGE_SIZE);
    return named && physical.read32(link) === VMCS_REVISION + SHADOW_INDICATOR ? link : undefined;
  }
  #needsVmcs<T>(found: T | undefined): T {
    if (found === undefined) throw new Error('This thread has no VMCS: it has not entered VMX non-root operation.');
    return found;
  }
  vmcs(tid: number, which: VmcsChoice = 'current'): VmcsFieldInfo[] | undefined {
    return this.#withVmcs(tid, which, () => describeVmcs(this.context.vmx));
  }
  vmcsRegion(tid: number, which: VmcsChoice = 'current'): VmcsRegionInfo | undefined {
    return this.#withVmcs(tid, which, (vmcs) => {
      const link = this.#linkOf(vmcs);
      const inUse = (secondaryControls(vmcs) & Secondary.VmcsShadowing) !== 0;
      return {
        hpa: vmcs.pointer,
        launched: vmcs.launched,
        shadow: vmcs.isShadow,
        ...(link === undefined ? {} : { link: { hpa: link, inUse } }),
      };
    });
  }
  writeVmcs(tid: number, encoding: number, value: bigint, which: VmcsChoice = 'current'): void {
    this.#needsVmcs(this.#withVmcs(tid, which, () => (writeVmcsField(this.context.vmx, encoding, value), true)));
  }
  vmEntry(tid: number): VmEntryInfo | undefined {
    return this.#withVmcs(tid, 'current', (vmcs) =>
      vmcs.isShadow ? undefined : describeEntry(this.context.vmx, this.context.cpu.nonRoot),
    );
  }
  exitLists(tid: number): ExitList[] {
    return this.#withVmcs(tid, 'current', (vmcs) => exitLists(this.context, vmcs)) ?? [];
  }
  wouldExit(tid: number, question: ExitQuestion): ExitPrediction {
    return this.#needsVmcs(this.#withVmcs(tid, 'current', () => wouldExit(this.context, question)));
  }

  #disassemble: Disassemble | undefined;
  disassemble(tid: number, gva: bigint, count: number): DisassembledInstruction[] {
    const bytes = this.readMemory(tid, 'gva', gva, count * LONGEST_INSTRUCTION);
    this.#disassemble ??= this.loadDisassembler();
    return this.#disassemble(bytes, gva, { count });
  }
}

/** The structures that cross /dev/dune: packed, little endian, every field 8 bytes unless said. One table per structure. */

/** ioctl request numbers. */
export const enum DuneIoctl {
  Enter = 0x80b0e901,
  GetSyscall = 0x0000e902,
  GetLayout = 0x4018e903,
  TrapEnable = 0x8029e904,
  TrapDisable = 0x0000e905,
}

/** ENTER numbers of earlier libdune generations: the size field of the request is the size of their structure. */
export const OLD_ENTER: Readonly<Record<number, string>> = {
  0x8018e901: 'the first libdune (2012): a 24-byte structure {rip, rsp, cr3}',
  0x8020e901: 'libdune of 2013: a 32-byte structure {ret, rip, rsp, cr3}',
  0x80a8e901: 'libdune of late 2015: a 168-byte structure with all registers but no vCPU handle',
};

/** Why ENTER returned: dune_config.ret. */
export const enum DuneRet {
  None = 0,
  Exit = 1,
  EptViolation = 2,
  Interrupt = 3,
  Signal = 4,
  UnhandledVmExit = 5,
}

export const CONFIG_BYTES = 176;
/** Byte offsets in struct dune_config. */
export const CONFIG = {
  ret: 0x00,
  rax: 0x08,
  rbx: 0x10,
  rcx: 0x18,
  rdx: 0x20,
  rsi: 0x28,
  rdi: 0x30,
  rsp: 0x38,
  rbp: 0x40,
  r8: 0x48,
  r9: 0x50,
  r10: 0x58,
  r11: 0x60,
  r12: 0x68,
  r13: 0x70,
  r14: 0x78,
  r15: 0x80,
  rip: 0x88,
  rflags: 0x90,
  cr3: 0x98,
  status: 0xa0,
  vcpu: 0xa8,
} as const;

/** Offset in struct dune_config of each general register, in the CPU's numbering (RAX RCX RDX RBX RSP RBP RSI RDI R8..R15). */
export const CONFIG_GPR: readonly number[] = [
  CONFIG.rax,
  CONFIG.rcx,
  CONFIG.rdx,
  CONFIG.rbx,
  CONFIG.rsp,
  CONFIG.rbp,
  CONFIG.rsi,
  CONFIG.rdi,
  CONFIG.r8,
  CONFIG.r9,
  CONFIG.r10,
  CONFIG.r11,
  CONFIG.r12,
  CONFIG.r13,
  CONFIG.r14,
  CONFIG.r15,
];

export const LAYOUT_BYTES = 24;
/** Byte offsets in struct dune_layout. */
export const LAYOUT = { physLimit: 0, baseMap: 8, baseStack: 16 } as const;

export const TRAP_CONFIG_BYTES = 41;
/** Byte offsets in struct dune_trap_config; `delay` is one byte. */
export const TRAP_CONFIG = {
  triggerRip: 0x00,
  notifyFunction: 0x08,
  registers: 0x10,
  registersSize: 0x18,
  privateData: 0x20,
  delay: 0x28,
} as const;

/** sizeof(struct dune_trap_regs): what `registersSize` must be. */
export const TRAP_REGISTERS_BYTES = 144;
/** struct dune_trap_regs: the CPU's number of the register in each 8-byte slot; RIP and RFLAGS follow. */
export const TRAP_REGISTERS: readonly number[] = [0, 3, 1, 2, 6, 7, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];

/** A view on one of the structures. */
export class Structure {
  readonly #view: DataView;
  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  get(offset: number): bigint {
    return this.#view.getBigUint64(offset, true);
  }
  set(offset: number, value: bigint): void {
    this.#view.setBigUint64(offset, BigInt.asUintN(64, value), true);
  }
  byte(offset: number): number {
    return this.#view.getUint8(offset);
  }
}

/** Registers of local APICs (SDM 3A chapter 12), as numbers in both modes, and what of them can be written. */

/** Registers by number: offset / 16 in the xAPIC's page, MSR - 800h in x2APIC mode (SDM 3A table 12-6). */
export const enum Register {
  Id = 0x02,
  Version = 0x03,
  Tpr = 0x08,
  Apr = 0x09,
  Ppr = 0x0a,
  Eoi = 0x0b,
  Rrd = 0x0c,
  Ldr = 0x0d,
  Dfr = 0x0e,
  Svr = 0x0f,
  Isr = 0x10,
  Tmr = 0x18,
  Irr = 0x20,
  Esr = 0x28,
  Icr = 0x30,
  IcrHigh = 0x31,
  LvtTimer = 0x32,
  LvtThermal = 0x33,
  LvtPerformance = 0x34,
  LvtLint0 = 0x35,
  LvtLint1 = 0x36,
  LvtError = 0x37,
  InitialCount = 0x38,
  CurrentCount = 0x39,
  Divide = 0x3e,
  SelfIpi = 0x3f,
}

export const enum DeliveryMode {
  Fixed = 0,
  Lowest = 1,
  Nmi = 4,
  Init = 5,
  Startup = 6,
  ExtInt = 7,
}

const ALL32 = 0xffff_ffff;

/** What can be written to a register: bits that it keeps; the others are reserved. */
export const WRITABLE: Readonly<Partial<Record<number, number>>> = {
  [Register.Tpr]: 0xff,
  [Register.Eoi]: 0,
  [Register.Svr]: 0x13ff & ~0x200,
  [Register.Esr]: 0,
  [Register.Icr]: 0xccfff,
  [Register.LvtTimer]: 0x700ff,
  [Register.LvtThermal]: 0x107ff,
  [Register.LvtPerformance]: 0x107ff,
  [Register.LvtLint0]: 0x1a7ff,
  [Register.LvtLint1]: 0x1a7ff,
  [Register.LvtError]: 0x100ff,
  [Register.InitialCount]: ALL32,
  [Register.Divide]: 0xb,
  [Register.SelfIpi]: 0xff,
};

/** Registers that MSRs of x2APIC mode do not have, or do not let read (table 12-6). */
export const UNREADABLE_MSRS: ReadonlySet<number> = new Set([
  Register.Apr,
  Register.Eoi,
  Register.Rrd,
  Register.Dfr,
  Register.IcrHigh,
  Register.SelfIpi,
]);

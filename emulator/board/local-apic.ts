/** The local APIC of a logical processor: xAPIC and x2APIC (SDM 3A chapter 12). Its state is plain data. */
import { Bits256, type Words } from './bits256.ts';

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

/** Off (APIC_BASE.EN = 0), xAPIC, or x2APIC. */
export type ApicMode = 'off' | 'xapic' | 'x2apic';

/** A message to local APICs: from ICR, the I/O APIC, or an MSI. */
export interface InterruptMessage {
  readonly mode: DeliveryMode;
  readonly vector: number;
  readonly level: boolean;
  /** All ones: everyone. */
  readonly destination: number;
  readonly logical: boolean;
}

export interface LocalApicState {
  taskPriority: number;
  ldr: number;
  dfr: number;
  svr: number;
  /** ESR as it reads, and errors since it was last written. */
  esr: number;
  errors: number;
  icrLow: number;
  icrHigh: number;
  /** LVT entries from LvtTimer to LvtError. */
  readonly lvt: number[];
  initialCount: number;
  divide: number;
  /** Cycles of this CPU at which the timer began to count from `initialCount`; meaningless while it stands. */
  timerStart: number;
  timerRuns: boolean;
  deadlineTsc: bigint;
  readonly irr: Words;
  readonly isr: Words;
  readonly tmr: Words;
}

/** What the APIC wants of the board. */
export interface ApicBoard {
  /** Modelled cycles of this CPU, and what its TSC adds to them. */
  cycles(): number;
  tscAdjust(): bigint;
  mode(): ApicMode;
  /** Sends by ICR. */
  send(message: InterruptMessage, shorthand: number): void;
  /** A level-triggered interrupt is over. */
  endOfInterrupt(vector: number): void;
  nmi(): void;
  /** What may come next, or when, has changed. */
  changed(): void;
}

const MASKED = 0x10000;
const SOFTWARE_ENABLE = 0x100;
const SUPPRESS_EOI = 0x1000;
const TIMER_MODE_SHIFT = 17;
const PERIODIC = 1;
const TSC_DEADLINE = 2;
/** Integrated APIC, six LVT entries, EOI broadcasts can be suppressed. */
const VERSION = 0x0105_0014;
// ESR (12.5.3)
const SEND_ILLEGAL_VECTOR = 0x20;
const RECEIVE_ILLEGAL_VECTOR = 0x40;
const ILLEGAL_REGISTER = 0x80;
const ALL32 = 0xffff_ffff;

/** What can be written to a register: bits that it keeps; the others are reserved. */
const WRITABLE: Readonly<Partial<Record<number, number>>> = {
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

export function freshApic(): LocalApicState {
  return {
    taskPriority: 0,
    ldr: 0,
    dfr: ALL32,
    svr: 0xff,
    esr: 0,
    errors: 0,
    icrLow: 0,
    icrHigh: 0,
    lvt: new Array<number>(6).fill(MASKED),
    initialCount: 0,
    divide: 0,
    timerStart: 0,
    timerRuns: false,
    deadlineTsc: 0n,
    irr: Bits256.empty(),
    isr: Bits256.empty(),
    tmr: Bits256.empty(),
  };
}

export class LocalApic {
  state = freshApic();

  constructor(
    readonly id: number,
    readonly board: ApicBoard,
  ) {}

  /** As firmware leaves the first CPU's: the 8259s on LINT0, NMI on LINT1. */
  connectLints(): void {
    this.state.lvt[Register.LvtLint0 - Register.LvtTimer] = DeliveryMode.ExtInt << 8;
    this.state.lvt[Register.LvtLint1 - Register.LvtTimer] = DeliveryMode.Nmi << 8;
  }

  /** APIC_BASE was written: turned off, it loses its state (12.4.3). */
  modeChanged(): void {
    if (this.board.mode() === 'off') this.state = freshApic();
  }

  // ---------------------------------------------------------------- registers

  /** 32 bits; ICR in x2APIC mode is read whole by `readMsr`. */
  read(register: number): number {
    const { state } = this;
    if (register >= Register.LvtTimer && register <= Register.LvtError)
      return state.lvt[register - Register.LvtTimer]! >>> 0;
    if (register >= Register.Isr && register < Register.Esr) return this.#words(register);
    switch (register) {
      case Register.Id:
        return this.board.mode() === 'x2apic' ? this.id : (this.id << 24) >>> 0;
      case Register.Version:
        return VERSION;
      case Register.Tpr:
        return state.taskPriority;
      case Register.Ppr:
        return this.processorPriority();
      case Register.Ldr:
        return this.#logicalId();
      case Register.Dfr:
        return state.dfr;
      case Register.Svr:
        return state.svr;
      case Register.Esr:
        return state.esr;
      case Register.Icr:
        return state.icrLow;
      case Register.IcrHigh:
        return state.icrHigh;
      case Register.InitialCount:
        return state.initialCount;
      case Register.CurrentCount:
        return this.#currentCount();
      case Register.Divide:
        return state.divide;
      case Register.Apr:
      case Register.Rrd:
      case Register.Eoi:
        return 0;
      default:
        this.#error(ILLEGAL_REGISTER);
        return 0;
    }
  }

  #words(register: number): number {
    const { isr, tmr, irr } = this.state;
    const words = register >= Register.Irr ? irr : register >= Register.Tmr ? tmr : isr;
    return words[register & 7]! >>> 0;
  }

  /** A write in xAPIC mode: reserved bits are ignored. */
  write(register: number, value: number): void {
    const { state } = this;
    switch (register) {
      case Register.Ldr:
        state.ldr = (value & 0xff00_0000) >>> 0;
        break;
      case Register.Dfr:
        state.dfr = (value | 0x0fff_ffff) >>> 0;
        break;
      case Register.IcrHigh:
        state.icrHigh = (value & 0xff00_0000) >>> 0;
        break;
      case Register.Id:
      case Register.Version:
      case Register.Ppr:
      case Register.CurrentCount:
      case Register.Apr:
      case Register.Rrd:
        break;
      default: {
        const writable = register === Register.SelfIpi ? undefined : WRITABLE[register];
        if (writable !== undefined) this.#store(register, (value & writable) >>> 0);
        else if (register < Register.Isr || register >= Register.Esr) this.#error(ILLEGAL_REGISTER);
      }
    }
    this.board.changed();
  }

  /** Value of an MSR of x2APIC mode; undefined: no such register, or it cannot be read. */
  readMsr(register: number): bigint | undefined {
    const { state } = this;
    if (register === Register.Icr) return BigInt(state.icrLow) | (BigInt(state.icrHigh) << 32n);
    const absent: number[] = [
      Register.Apr,
      Register.Eoi,
      Register.Rrd,
      Register.Dfr,
      Register.IcrHigh,
      Register.SelfIpi,
    ];
    const known =
      (register >= Register.Isr && register < Register.Esr) ||
      WRITABLE[register] !== undefined ||
      [Register.Id, Register.Version, Register.Ppr, Register.Ldr, Register.CurrentCount].includes(register);
    return known && !absent.includes(register) ? BigInt(this.read(register)) : undefined;
  }

  /** Why the MSR cannot take the value; undefined if it can. */
  refuseMsr(register: number, value: bigint): string | undefined {
    const writable = WRITABLE[register];
    if (writable === undefined) return `x2APIC register ${register.toString(16)}h cannot be written`;
    const low = register === Register.Icr ? value & 0xffff_ffffn : value;
    return low & ~BigInt(writable) ? `reserved bits of x2APIC register ${register.toString(16)}h` : undefined;
  }

  writeMsr(register: number, value: bigint): void {
    if (register === Register.Icr) this.state.icrHigh = Number(value >> 32n);
    this.#store(register, Number(value & 0xffff_ffffn));
    this.board.changed();
  }

  #store(register: number, value: number): void {
    const { state } = this;
    if (register >= Register.LvtTimer && register <= Register.LvtError) return this.#storeLvt(register, value);
    switch (register) {
      case Register.Tpr:
        state.taskPriority = value;
        break;
      case Register.Eoi:
        this.#endOfInterrupt();
        break;
      case Register.Svr:
        state.svr = value;
        if (!(value & SOFTWARE_ENABLE)) state.lvt.forEach((entry, index) => (state.lvt[index] = entry | MASKED));
        break;
      case Register.Esr:
        state.esr = state.errors;
        state.errors = 0;
        break;
      case Register.Icr:
        state.icrLow = value;
        this.#send();
        break;
      case Register.SelfIpi:
        this.accept(value, false);
        break;
      case Register.InitialCount:
        if (this.#timerMode === TSC_DEADLINE) break;
        state.initialCount = value;
        this.#startTimer();
        break;
      case Register.Divide:
        this.#storeDivide(value);
        break;
    }
  }

  #logicalId(): number {
    if (this.board.mode() !== 'x2apic') return this.state.ldr;
    return (((this.id >> 4) << 16) | (1 << (this.id & 15))) >>> 0;
  }

  // ---------------------------------------------------------------- interrupts

  /** TPR and what is in service (12.8.3.1). */
  processorPriority(): number {
    const { taskPriority, isr } = this.state;
    const inService = Bits256.highest(isr);
    if (inService < 0 || taskPriority >> 4 >= inService >> 4) return taskPriority;
    return inService & 0xf0;
  }

  /** The vector that would be delivered now, or -1. */
  deliverable(): number {
    if (this.board.mode() === 'off' || !(this.state.svr & SOFTWARE_ENABLE)) return -1;
    const vector = Bits256.highest(this.state.irr);
    return vector >= 0 && vector >> 4 > this.processorPriority() >> 4 ? vector : -1;
  }

  /** The processor takes the interrupt. */
  acknowledge(vector: number): void {
    Bits256.clear(this.state.irr, vector);
    Bits256.set(this.state.isr, vector);
  }

  /** A fixed interrupt arrives. */
  accept(vector: number, level: boolean): void {
    const { state } = this;
    if (this.board.mode() === 'off' || !(state.svr & SOFTWARE_ENABLE)) return;
    if (vector < 16) return this.#error(RECEIVE_ILLEGAL_VECTOR);
    Bits256.set(state.irr, vector);
    if (level) Bits256.set(state.tmr, vector);
    else Bits256.clear(state.tmr, vector);
    this.board.changed();
  }

  #endOfInterrupt(): void {
    const { state } = this;
    const vector = Bits256.highest(state.isr);
    if (vector < 0) return;
    Bits256.clear(state.isr, vector);
    if (Bits256.has(state.tmr, vector) && !(state.svr & SUPPRESS_EOI)) this.board.endOfInterrupt(vector);
  }

  /** Whether a message is for this APIC (12.6.2). */
  isDestination({ destination, logical }: InterruptMessage): boolean {
    const mode = this.board.mode();
    if (mode === 'off') return false;
    if (destination === ALL32) return true;
    const wide = mode === 'x2apic';
    if (!logical) return destination === this.id;
    const id = this.#logicalId();
    if (wide) return destination >>> 16 === id >>> 16 && (destination & id & 0xffff) !== 0;
    const own = id >>> 24;
    if (this.state.dfr >>> 28 === 0xf) return (own & destination) !== 0;
    return own >> 4 === destination >> 4 && (own & destination & 15) !== 0;
  }

  #send(): void {
    const { icrLow, icrHigh } = this.state;
    const mode = (icrLow >> 8) & 7;
    const vector = icrLow & 0xff;
    const wide = this.board.mode() === 'x2apic';
    const destination = wide ? icrHigh : icrHigh >>> 24 === 0xff ? ALL32 : icrHigh >>> 24;
    if (mode === DeliveryMode.Fixed && vector < 16) this.#error(SEND_ILLEGAL_VECTOR);
    // INIT level de-assert does nothing on today's processors.
    if (mode === DeliveryMode.Init && (icrLow & 0xc000) === 0x8000) return;
    const message = { mode, vector, level: false, destination, logical: (icrLow & 0x800) !== 0 };
    this.board.send(message, (icrLow >> 18) & 3);
  }

  #error(bit: number): void {
    const { state } = this;
    state.errors |= bit;
    this.#local(Register.LvtError);
  }

  /** An interrupt of the local vector table. */
  #local(register: number): void {
    const entry = this.state.lvt[register - Register.LvtTimer]!;
    if (entry & MASKED) return;
    const mode = register === Register.LvtTimer || register === Register.LvtError ? 0 : (entry >> 8) & 7;
    if (mode === DeliveryMode.Nmi) this.board.nmi();
    else if (mode === DeliveryMode.Fixed && (entry & 0xff) >= 16) this.accept(entry & 0xff, false);
  }

  /** Whether an interrupt of the 8259s comes through: LINT0 as ExtINT, or the APIC is off. */
  takesExtInt(): boolean {
    if (this.board.mode() === 'off') return true;
    const entry = this.state.lvt[Register.LvtLint0 - Register.LvtTimer]!;
    return !(entry & MASKED) && ((entry >> 8) & 7) === DeliveryMode.ExtInt;
  }

  // ---------------------------------------------------------------- timer

  get #timerMode(): number {
    return (this.state.lvt[0]! >> TIMER_MODE_SHIFT) & 3;
  }
  /** Cycles a count (12.5.4): the timer counts what the TSC counts. */
  get #divisor(): number {
    const code = (this.state.divide & 3) | ((this.state.divide >> 1) & 4);
    return code === 7 ? 1 : 2 << code;
  }

  #storeLvt(register: number, value: number): void {
    const { state } = this;
    const before = this.#timerMode;
    state.lvt[register - Register.LvtTimer] = state.svr & SOFTWARE_ENABLE ? value : value | MASKED;
    if ((before === TSC_DEADLINE) === (this.#timerMode === TSC_DEADLINE)) return;
    state.timerRuns = false;
    state.initialCount = 0;
    state.deadlineTsc = 0n;
  }

  #startTimer(): void {
    const { state } = this;
    state.timerRuns = state.initialCount !== 0;
    state.timerStart = this.board.cycles();
  }

  /** The count goes on from where it is. */
  #storeDivide(value: number): void {
    const { state } = this;
    const count = this.#currentCount();
    state.divide = value;
    if (state.timerRuns) state.timerStart = this.board.cycles() - (state.initialCount - count) * this.#divisor;
  }

  #currentCount(): number {
    const { state } = this;
    if (!state.timerRuns || this.#timerMode === TSC_DEADLINE) return 0;
    const elapsed = Math.floor((this.board.cycles() - state.timerStart) / this.#divisor);
    if (this.#timerMode === PERIODIC) return state.initialCount - (elapsed % state.initialCount);
    return Math.max(0, state.initialCount - elapsed);
  }

  get deadlineMsr(): bigint {
    return this.#timerMode === TSC_DEADLINE ? this.state.deadlineTsc : 0n;
  }
  set deadlineMsr(value: bigint) {
    if (this.#timerMode === TSC_DEADLINE) this.state.deadlineTsc = value;
    this.board.changed();
  }

  /** Cycles of this CPU at which the timer expires; Infinity if it stands. */
  expires(): number {
    const { state } = this;
    if (this.#timerMode === TSC_DEADLINE) {
      if (state.deadlineTsc === 0n) return Infinity;
      return Number(BigInt.asIntN(64, state.deadlineTsc - this.board.tscAdjust()));
    }
    return state.timerRuns ? state.timerStart + state.initialCount * this.#divisor : Infinity;
  }

  /** Lets the timer expire if it is time. */
  tick(): void {
    const { state } = this;
    const now = this.board.cycles();
    if (now < this.expires()) return;
    if (this.#timerMode === TSC_DEADLINE) state.deadlineTsc = 0n;
    else if (this.#timerMode === PERIODIC) {
      const period = state.initialCount * this.#divisor;
      state.timerStart += Math.floor((now - state.timerStart) / period) * period;
    } else state.timerRuns = false;
    this.#local(Register.LvtTimer);
  }
}

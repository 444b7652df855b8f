/** The local APIC of a logical processor: xAPIC and x2APIC (SDM 3A chapter 12). Its state is plain data. */
import { DeliveryMode, Register, UNREADABLE_MSRS, WRITABLE } from './apic-registers.ts';
import { ApicTimer, TimerMode, freshTimer, type ApicTimerState } from './apic-timer.ts';
import { Bits256, type Words } from './bits256.ts';

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
  readonly timer: ApicTimerState;
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
/** Integrated APIC, six LVT entries, EOI broadcasts can be suppressed. */
const VERSION = 0x0105_0014;
// ESR (12.5.3)
const SEND_ILLEGAL_VECTOR = 0x20;
const RECEIVE_ILLEGAL_VECTOR = 0x40;
const ILLEGAL_REGISTER = 0x80;
const ALL32 = 0xffff_ffff;

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
    timer: freshTimer(),
    irr: Bits256.empty(),
    isr: Bits256.empty(),
    tmr: Bits256.empty(),
  };
}

export class LocalApic {
  state = freshApic();
  readonly timer: ApicTimer;

  constructor(
    readonly id: number,
    readonly board: ApicBoard,
  ) {
    this.timer = new ApicTimer(board, () => this.state);
  }

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
    const value = this.#value(register);
    if (value === undefined) this.#error(ILLEGAL_REGISTER);
    return value ?? 0;
  }

  /** Undefined: there is no such register. */
  #value(register: number): number | undefined {
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
        return state.timer.initialCount;
      case Register.CurrentCount:
        return this.timer.count();
      case Register.Divide:
        return state.timer.divide;
      case Register.Apr:
      case Register.Rrd:
      case Register.Eoi:
        return 0;
      default:
        return undefined;
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
    const value = UNREADABLE_MSRS.has(register) ? undefined : this.#value(register);
    return value === undefined ? undefined : BigInt(value);
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
        this.timer.start(value);
        break;
      case Register.Divide:
        this.timer.divide(value);
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

  #storeLvt(register: number, value: number): void {
    const { state, timer } = this;
    const before = timer.mode;
    state.lvt[register - Register.LvtTimer] = state.svr & SOFTWARE_ENABLE ? value : value | MASKED;
    if ((before === TimerMode.TscDeadline) !== (timer.mode === TimerMode.TscDeadline)) timer.disarm();
  }

  get deadlineMsr(): bigint {
    return this.timer.deadline;
  }
  set deadlineMsr(value: bigint) {
    this.timer.deadline = value;
    this.board.changed();
  }

  /** Cycles of this CPU at which the timer expires; Infinity if it stands. */
  expires(): number {
    return this.timer.expires();
  }

  /** When its interrupt can be delivered; Infinity if it stands, or is masked or of too low a priority. */
  interruptsAt(): number {
    const entry = this.state.lvt[0]!;
    const vector = entry & 0xff;
    const heard = this.board.mode() !== 'off' && (this.state.svr & SOFTWARE_ENABLE) !== 0 && !(entry & MASKED);
    return heard && vector >= 16 && vector >> 4 > this.processorPriority() >> 4 ? this.timer.expires() : Infinity;
  }

  /** Lets the timer expire if it is time. */
  tick(): void {
    if (this.timer.tick()) this.#local(Register.LvtTimer);
  }
}

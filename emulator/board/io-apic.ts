/** The I/O APIC, 24 inputs (82093AA data sheet, with the EOI register of version 20h). */
import type { InterruptMessage } from './local-apic.ts';

const INPUTS = 24;
const VERSION = 0x20 | ((INPUTS - 1) << 16);
// Offsets in its page
const SELECT = 0x00;
const WINDOW = 0x10;
const EOI = 0x40;
// Registers behind the window
const REGISTER_ID = 0;
const REGISTER_VERSION = 1;
const REGISTER_ARBITRATION = 2;
const REDIRECTION = 0x10;
// Redirection entry, low half
const LOGICAL = 0x800;
const REMOTE_IRR = 0x4000;
const LEVEL = 0x8000;
const MASKED = 0x10000;
const WRITABLE_LOW = 0x1afff;

export interface IoApicState {
  select: number;
  id: number;
  /** Halves of the redirection entries. */
  readonly low: number[];
  readonly high: number[];
  /** Bit n: input n is asserted; an edge on input n waits for its mask. */
  lines: number;
}

export class IoApic {
  state: IoApicState = {
    select: 0,
    id: 0,
    low: new Array<number>(INPUTS).fill(MASKED),
    high: new Array<number>(INPUTS).fill(0),
    lines: 0,
  };

  constructor(readonly send: (message: InterruptMessage) => void) {}

  read(offset: number): number {
    if (offset === SELECT) return this.state.select;
    return offset === WINDOW ? this.#register(this.state.select) : 0;
  }

  #register(number: number): number {
    const { state } = this;
    if (number === REGISTER_ID || number === REGISTER_ARBITRATION) return state.id << 24;
    if (number === REGISTER_VERSION) return VERSION;
    const entry = (number - REDIRECTION) >> 1;
    if (entry < 0 || entry >= INPUTS) return 0xffff_ffff;
    return (number & 1 ? state.high[entry]! : state.low[entry]!) >>> 0;
  }

  write(offset: number, value: number): void {
    if (offset === SELECT) this.state.select = value & 0xff;
    else if (offset === WINDOW) this.#store(this.state.select, value);
    else if (offset === EOI) this.endOfInterrupt(value & 0xff);
  }

  #store(number: number, value: number): void {
    const { state } = this;
    if (number === REGISTER_ID) state.id = (value >>> 24) & 15;
    const entry = (number - REDIRECTION) >> 1;
    if (entry < 0 || entry >= INPUTS) return;
    if (number & 1) {
      state.high[entry] = (value & 0xff00_0000) >>> 0;
      return;
    }
    const kept = state.low[entry]! & REMOTE_IRR & (value & LEVEL ? -1 : 0);
    state.low[entry] = (value & WRITABLE_LOW) | kept;
    if (value & LEVEL) this.#serveLevel(entry);
  }

  /** An input changes. */
  setLine(input: number, asserted: boolean): void {
    const { state } = this;
    if (input >= INPUTS) return;
    const before = (state.lines >>> input) & 1;
    if (asserted) state.lines |= 1 << input;
    else state.lines &= ~(1 << input);
    if (state.low[input]! & LEVEL) this.#serveLevel(input);
    else if (asserted && !before && !(state.low[input]! & MASKED)) this.#deliver(input);
  }

  #serveLevel(input: number): void {
    const low = this.state.low[input]!;
    if (low & (MASKED | REMOTE_IRR) || !((this.state.lines >>> input) & 1)) return;
    this.state.low[input] = low | REMOTE_IRR;
    this.#deliver(input);
  }

  #deliver(input: number): void {
    const low = this.state.low[input]!;
    const destination = this.state.high[input]! >>> 24;
    this.send({
      mode: (low >> 8) & 7,
      vector: low & 0xff,
      level: (low & LEVEL) !== 0,
      destination: destination === 0xff ? 0xffff_ffff : destination,
      logical: (low & LOGICAL) !== 0,
    });
  }

  /** A level-triggered interrupt of a vector is over: inputs still asserted interrupt again. */
  endOfInterrupt(vector: number): void {
    const { low } = this.state;
    for (let input = 0; input < INPUTS; input++) {
      if (!(low[input]! & LEVEL) || (low[input]! & 0xff) !== vector) continue;
      low[input]! &= ~REMOTE_IRR;
      this.#serveLevel(input);
    }
  }
}

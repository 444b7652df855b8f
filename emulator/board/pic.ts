/** A pair of 8259A interrupt controllers, the second on input 2 of the first. */
interface ChipState {
  requests: number;
  inService: number;
  mask: number;
  /** Levels of the inputs. */
  lines: number;
  /** Vector of input 0. */
  base: number;
  /** Next initialization command word that is expected: 2 to 4, 0 none. */
  expects: number;
  needsFourth: boolean;
  automaticEoi: boolean;
  readsInService: boolean;
  /** Bit set: level-triggered (ELCR, ports 4D0h and 4D1h). */
  levels: number;
}

export type PicState = readonly [ChipState, ChipState];

const CASCADE = 2;
const INITIALIZE = 0x10;
const READ_COMMAND = 0x08;

const chip = (): ChipState => ({
  requests: 0,
  inService: 0,
  mask: 0xff,
  lines: 0,
  base: 0,
  expects: 0,
  needsFourth: false,
  automaticEoi: false,
  readsInService: false,
  levels: 0,
});

/** As firmware leaves them: vectors 8 to 15 and 70h to 77h, every input open. */
const initialized = (base: number): ChipState => ({ ...chip(), base, mask: 0 });

export class InterruptControllers {
  state: PicState = [initialized(8), initialized(0x70)];

  /** Ports 20h, 21h, A0h, A1h, 4D0h, 4D1h. */
  read(port: number): number {
    if (port >= 0x4d0) return this.state[port & 1]!.levels;
    const one = this.state[port >= 0xa0 ? 1 : 0];
    if (port & 1) return one.mask;
    return one.readsInService ? one.inService : one.requests;
  }

  write(port: number, value: number): void {
    if (port >= 0x4d0) {
      this.state[port & 1]!.levels = value;
      return;
    }
    const one = this.state[port >= 0xa0 ? 1 : 0];
    if (port & 1) writeData(one, value);
    else if (value & INITIALIZE) initialize(one, value);
    else if (value & READ_COMMAND) {
      if (value & 2) one.readsInService = (value & 1) !== 0;
    } else endOfInterrupt(one, value);
  }

  setLine(input: number, asserted: boolean): void {
    const one = this.state[input >> 3];
    if (!one) return;
    const bit = 1 << (input & 7);
    if (asserted && !(one.lines & bit)) one.requests |= bit;
    if (asserted) one.lines |= bit;
    else {
      one.lines &= ~bit;
      // An edge stays until it is taken.
      if (one.levels & bit) one.requests &= ~bit;
    }
  }

  /** Whether the INTR output is asserted. */
  get pending(): boolean {
    return this.#request(this.state[0]) >= 0;
  }

  #request(one: ChipState): number {
    let requests = one.requests;
    if (one === this.state[0]) {
      requests &= ~(1 << CASCADE);
      if (this.#request(this.state[1]) >= 0) requests |= 1 << CASCADE;
    }
    const wanted = requests & ~one.mask;
    for (let input = 0; input < 8; input++) {
      if ((one.inService >> input) & 1) return -1;
      if ((wanted >> input) & 1) return input;
    }
    return -1;
  }

  /** The interrupt-acknowledge cycle: the vector. A request that has gone is spurious, input 7. */
  acknowledge(): number {
    const [first, second] = this.state;
    const input = this.#take(first);
    if (input !== CASCADE) return first.base + (input < 0 ? 7 : input);
    const other = this.#take(second);
    return second.base + (other < 0 ? 7 : other);
  }

  #take(one: ChipState): number {
    const input = this.#request(one);
    if (input < 0) return -1;
    if (!one.automaticEoi) one.inService |= 1 << input;
    if (!(one.levels & (1 << input))) one.requests &= ~(1 << input);
    return input;
  }
}

function initialize(one: ChipState, value: number): void {
  Object.assign(one, { ...chip(), lines: one.lines, levels: one.levels, mask: 0, expects: 2 });
  one.needsFourth = (value & 1) !== 0;
}

function writeData(one: ChipState, value: number): void {
  switch (one.expects) {
    case 2:
      one.base = value & 0xf8;
      one.expects = 3;
      return;
    case 3:
      one.expects = one.needsFourth ? 4 : 0;
      return;
    case 4:
      one.automaticEoi = (value & 2) !== 0;
      one.expects = 0;
      return;
    default:
      one.mask = value;
  }
}

/** Operation command word 2: bit 5 EOI, bit 6 of the input in bits 2:0, else of the highest in service. */
function endOfInterrupt(one: ChipState, value: number): void {
  if (!(value & 0x20)) return;
  if (value & 0x40) one.inService &= ~(1 << (value & 7));
  else one.inService &= one.inService - 1;
}

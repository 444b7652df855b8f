/** A 16550 serial port (data sheet PC16550D), infinitely fast. What is sent is the machine's output. */
export interface UartState {
  interruptEnable: number;
  lineControl: number;
  modemControl: number;
  scratch: number;
  divisor: number;
  fifo: boolean;
  received: number[];
  /** The interrupt for an empty transmitter has not been read yet. */
  emptyWaits: boolean;
}

const DIVISOR_LATCH = 0x80;
const DATA_READY = 1;
const TRANSMITTER_EMPTY = 0x60;
/** Clear to send, data set ready, carrier. */
const MODEM_STATUS = 0xb0;
const LOOPBACK = 0x10;

export class Uart {
  state: UartState = {
    interruptEnable: 0,
    lineControl: 3,
    modemControl: 0,
    scratch: 0,
    divisor: 1,
    fifo: false,
    received: [],
    emptyWaits: false,
  };

  /** Line status reads since a byte was sent. */
  #polls = 0;

  constructor(
    readonly send: (byte: number) => void,
    readonly setLine: (asserted: boolean) => void,
    /** Software polls the port and sends nothing: it waits for input, or for something else. */
    readonly idle: () => void,
  ) {}

  #update(): void {
    this.setLine(this.#cause() !== 1);
  }
  /** Interrupt identification: 4 received data, 2 transmitter empty, 1 none. */
  #cause(): number {
    const { interruptEnable, received, emptyWaits } = this.state;
    if (interruptEnable & 1 && received.length > 0) return 4;
    return interruptEnable & 2 && emptyWaits ? 2 : 1;
  }

  receive(data: Uint8Array): void {
    this.state.received.push(...data);
    this.#update();
  }

  read(register: number): number {
    const { state } = this;
    const latch = (state.lineControl & DIVISOR_LATCH) !== 0;
    switch (register) {
      case 0:
        return latch ? state.divisor & 0xff : this.#receiveByte();
      case 1:
        return latch ? state.divisor >> 8 : state.interruptEnable;
      case 2: {
        const cause = this.#cause();
        if (cause === 2) state.emptyWaits = false;
        this.#update();
        return cause | (state.fifo ? 0xc0 : 0);
      }
      case 3:
        return state.lineControl;
      case 4:
        return state.modemControl;
      case 5:
        if (++this.#polls > 1) this.idle();
        return TRANSMITTER_EMPTY | (state.received.length > 0 ? DATA_READY : 0);
      case 6:
        return MODEM_STATUS;
      default:
        return state.scratch;
    }
  }

  #receiveByte(): number {
    const byte = this.state.received.shift() ?? 0;
    // Without a FIFO the next byte arrives only now, and is an interrupt of its own.
    if (!this.state.fifo) this.setLine(false);
    this.#update();
    return byte;
  }

  write(register: number, value: number): void {
    const { state } = this;
    const latch = (state.lineControl & DIVISOR_LATCH) !== 0;
    switch (register) {
      case 0:
        if (latch) state.divisor = (state.divisor & 0xff00) | value;
        else this.#transmit(value);
        break;
      case 1:
        if (latch) state.divisor = (state.divisor & 0xff) | (value << 8);
        else {
          if (value & 2 && !(state.interruptEnable & 2)) state.emptyWaits = true;
          state.interruptEnable = value & 15;
        }
        break;
      case 2:
        state.fifo = (value & 1) !== 0;
        if (value & 2) state.received.length = 0;
        break;
      case 3:
        state.lineControl = value;
        break;
      case 4:
        state.modemControl = value & 0x1f;
        break;
      case 7:
        state.scratch = value;
        break;
    }
    this.#update();
  }

  #transmit(byte: number): void {
    this.#polls = 0;
    if (this.state.modemControl & LOOPBACK) this.state.received.push(byte);
    else this.send(byte);
    this.state.emptyWaits = true;
  }
}

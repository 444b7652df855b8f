/** The I/O ports of the board, one row a device. Ports nobody has read all ones and swallow writes. */
import type { Cmos } from './cmos.ts';
import type { FwCfg } from './fw-cfg.ts';
import type { InterruptControllers } from './pic.ts';
import type { Pit } from './pit.ts';
import type { Uart } from './uart.ts';

export interface PortDevices {
  readonly uart: Uart;
  readonly fwCfg: FwCfg;
  readonly cmos: Cmos;
  readonly pic: InterruptControllers;
  readonly pit: Pit;
  setLine(line: number, asserted: boolean): void;
  /** The kernel ends the machine. */
  exit(status: number): void;
  /** What interrupts come next may have changed. */
  changed(): void;
  /** The access takes so long, in cycles. */
  elapse(cycles: number): void;
}

export interface PortsState {
  /** The test latch at E0h, and how much of "Shutdown" has been written to port 8900h. */
  latch: number;
  shutdown: number;
  /** Port 92h. */
  systemControl: number;
}

interface PortRow {
  readonly first: number;
  readonly last: number;
  /** A byte; `bytes` is the size of the whole access. Without `wide`, wider accesses are made of bytes. */
  readonly read?: (port: number, bytes: number) => number;
  readonly write?: (port: number, value: number, bytes: number) => void;
  readonly wide?: boolean;
}

/** Cycles of an access to the timer: about a microsecond, as on the ISA bus, so that loops that wait for it take no more turns than they would there. */
const ISA_ACCESS = 3_000;
const SHUTDOWN = 'Shutdown';
const KEYBOARD_RESET = 0xfe;
/** System flag, keyboard not locked. */
const KEYBOARD_STATUS = 0x14;

export class Ports {
  state: PortsState = { latch: 0, shutdown: 0, systemControl: 2 };
  readonly #rows: readonly PortRow[];

  constructor(readonly devices: PortDevices) {
    const { uart, fwCfg, cmos, pic, pit } = devices;
    const both = (first: number, last: number): PortRow => ({
      first,
      last,
      read: (port) => pic.read(port),
      write: (port, value) => {
        pic.write(port, value);
        devices.changed();
      },
    });
    const timer = (
      first: number,
      last: number,
      read: (port: number) => number,
      write: (port: number, value: number) => void,
    ): PortRow => ({
      first,
      last,
      read: (port) => {
        devices.elapse(ISA_ACCESS);
        return read(port);
      },
      write: (port, value) => {
        devices.elapse(ISA_ACCESS);
        write(port, value);
        devices.changed();
      },
    });
    this.#rows = [
      both(0x20, 0x21),
      timer(
        0x40,
        0x43,
        (port) => pit.read(port & 3),
        (port, value) => pit.write(port & 3, value),
      ),
      { first: 0x60, last: 0x60, read: () => 0, write: () => {} },
      timer(
        0x61,
        0x61,
        () => pit.readControl(),
        (_port, value) => pit.writeControl(value),
      ),
      { first: 0x64, last: 0x64, read: () => KEYBOARD_STATUS, write: (_port, value) => this.#keyboard(value) },
      { first: 0x70, last: 0x71, read: (port) => cmos.read(port), write: (port, value) => cmos.write(port, value) },
      { first: 0x80, last: 0x80, write: () => {} },
      {
        first: 0x92,
        last: 0x92,
        read: () => this.state.systemControl,
        write: (_port, value) => this.#systemControl(value),
      },
      both(0xa0, 0xa1),
      {
        first: 0xe0,
        last: 0xe3,
        wide: true,
        read: (port) => this.state.latch >>> ((port & 3) * 8),
        write: (port, value, bytes) => this.#writeLatch(port & 3, value, bytes),
      },
      { first: 0xe4, last: 0xe7, wide: true, write: () => {} },
      { first: 0xf4, last: 0xf7, wide: true, write: (_port, value) => devices.exit(value & 0xff) },
      {
        first: 0x3f8,
        last: 0x3ff,
        read: (port) => uart.read(port & 7),
        write: (port, value) => uart.write(port & 7, value),
      },
      both(0x4d0, 0x4d1),
      { first: 0x510, last: 0x510, wide: true, write: (_port, value) => fwCfg.select(value & 0xffff) },
      { first: 0x511, last: 0x511, read: () => fwCfg.read() },
      { first: 0xcf9, last: 0xcf9, read: () => 0, write: (_port, value) => this.#resetControl(value) },
      {
        first: 0x2000,
        last: 0x2017,
        wide: true,
        write: (port, value) => devices.setLine(port - 0x2000, (value & 0xff) !== 0),
      },
      { first: 0x8900, last: 0x8900, write: (_port, value) => this.#shutdownText(value) },
    ];
  }

  #row(port: number): PortRow | undefined {
    return this.#rows.find(({ first, last }) => port >= first && port <= last);
  }

  read(port: number, bytes: number): number {
    const row = this.#row(port);
    if (row?.wide) return this.#masked(row.read?.(port, bytes) ?? -1, bytes);
    let value = 0;
    for (let at = 0; at < bytes; at++) {
      const byte = this.#row(port + at)?.read?.(port + at, 1) ?? 0xff;
      value |= (byte & 0xff) << (at * 8);
    }
    return value >>> 0;
  }
  #masked(value: number, bytes: number): number {
    return bytes === 4 ? value >>> 0 : value & (bytes === 2 ? 0xffff : 0xff);
  }

  write(port: number, bytes: number, value: number): void {
    const row = this.#row(port);
    if (row?.wide) return row.write?.(port, this.#masked(value, bytes), bytes);
    for (let at = 0; at < bytes; at++) this.#row(port + at)?.write?.(port + at, (value >>> (at * 8)) & 0xff, 1);
  }

  #writeLatch(byte: number, value: number, bytes: number): void {
    const mask = bytes === 4 ? -1 : ((1 << (bytes * 8)) - 1) << (byte * 8);
    this.state.latch = ((this.state.latch & ~mask) | ((value << (byte * 8)) & mask)) >>> 0;
  }

  #keyboard(value: number): void {
    if (value === KEYBOARD_RESET) this.devices.exit(0);
  }
  /** Bit 0 resets; bit 1 is the gate of A20, which is open whatever it says. */
  #systemControl(value: number): void {
    this.state.systemControl = value & ~1;
    if (value & 1) this.devices.exit(0);
  }
  #resetControl(value: number): void {
    if (value & 4) this.devices.exit(0);
  }
  #shutdownText(value: number): void {
    const { shutdown } = this.state;
    if (value === SHUTDOWN.charCodeAt(shutdown)) this.state.shutdown = shutdown + 1;
    else this.state.shutdown = value === SHUTDOWN.charCodeAt(0) ? 1 : 0;
    if (this.state.shutdown === SHUTDOWN.length) this.devices.exit(0);
  }
}

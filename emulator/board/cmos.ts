/** CMOS memory and real-time clock (MC146818), ports 70h and 71h: the time and how much memory there is. */
export interface CmosState {
  index: number;
  readonly bytes: Uint8Array;
}

const SECONDS = 0;
const MINUTES = 2;
const HOURS = 4;
const WEEKDAY = 6;
const DAY = 7;
const MONTH = 8;
const YEAR = 9;
const STATUS_A = 0x0a;
const STATUS_B = 0x0b;
const STATUS_D = 0x0d;
const CENTURY = 0x32;
/** Status B: 24 hours; bit 2 would be binary rather than BCD. */
const HOURS_24 = 2;
const BINARY = 4;

export class Cmos {
  state: CmosState = { index: 0, bytes: new Uint8Array(128) };

  /** @param now milliseconds since 1970 */
  constructor(
    ramBytes: number,
    readonly now: () => number,
  ) {
    const { bytes } = this.state;
    const set16 = (at: number, value: number): void => {
      const word = Math.min(value, 0xffff);
      bytes[at] = word & 0xff;
      bytes[at + 1] = word >> 8;
    };
    bytes[STATUS_A] = 0x26;
    bytes[STATUS_B] = HOURS_24;
    bytes[STATUS_D] = 0x80;
    // Kilobytes below 640, above 1 MB (twice), and 64 KB blocks above 16 MB.
    set16(0x15, 640);
    const extended = Math.floor((ramBytes - 0x100000) / 1024);
    set16(0x17, extended);
    set16(0x30, extended);
    set16(0x34, Math.max(0, Math.floor((ramBytes - 0x1000000) / 0x10000)));
  }

  read(port: number): number {
    return port & 1 ? this.#value(this.state.index) : 0xff;
  }

  write(port: number, value: number): void {
    if (port & 1) this.state.bytes[this.state.index] = value;
    else this.state.index = value & 0x7f;
  }

  #value(index: number): number {
    const part = this.#clock(index);
    if (part === undefined) return this.state.bytes[index]!;
    return this.state.bytes[STATUS_B]! & BINARY ? part : (Math.floor(part / 10) << 4) | (part % 10);
  }

  #clock(index: number): number | undefined {
    const date = new Date(this.now());
    switch (index) {
      case SECONDS:
        return date.getUTCSeconds();
      case MINUTES:
        return date.getUTCMinutes();
      case HOURS:
        return date.getUTCHours();
      case WEEKDAY:
        return date.getUTCDay() + 1;
      case DAY:
        return date.getUTCDate();
      case MONTH:
        return date.getUTCMonth() + 1;
      case YEAR:
        return date.getUTCFullYear() % 100;
      case CENTURY:
        return Math.floor(date.getUTCFullYear() / 100);
      default:
        return undefined;
    }
  }
}

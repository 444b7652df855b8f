/** The firmware-configuration device at ports 510h and 511h: a selector, and the item's bytes one by one. Items are little-endian numbers. */
export interface FwCfgState {
  key: number;
  at: number;
}

const SIGNATURE = 0x00;
const INTERFACE = 0x01;
const RAM_BYTES = 0x03;
const CPUS = 0x05;
const MOST_CPUS = 0x0f;

export class FwCfg {
  state: FwCfgState = { key: 0, at: 0 };
  readonly #items: Readonly<Record<number, bigint>>;

  constructor(machine: { readonly ramBytes: number; readonly cpus: number }) {
    this.#items = {
      // "QEMU": how software knows the device; without DMA.
      [SIGNATURE]: 0x554d4551n,
      [INTERFACE]: 1n,
      [RAM_BYTES]: BigInt(machine.ramBytes),
      [CPUS]: BigInt(machine.cpus),
      [MOST_CPUS]: BigInt(machine.cpus),
    };
  }

  select(key: number): void {
    this.state = { key, at: 0 };
  }

  read(): number {
    const { key, at } = this.state;
    this.state.at++;
    return at < 8 ? Number(((this.#items[key] ?? 0n) >> BigInt(at * 8)) & 0xffn) : 0;
  }
}

/** What stands at physical addresses without RAM: local APIC, I/O APIC, test memory. The rest reads all ones and swallows writes. */
import type { IoApic } from './io-apic.ts';
import type { LocalApic } from './local-apic.ts';

const IO_APIC = 0xfec0_0000;
const TEST_RAM = 0xff00_0000;
const TEST_RAM_BYTES = 0x10000;
const PAGE = 0x1000;
const APIC_BASE_ADDRESS = 0x000f_ffff_ffff_f000n;
const APIC_ENABLED = 0x800n;
const APIC_X2 = 0x400n;

export interface MemoryDevices {
  readonly ioApic: IoApic;
  /** Of the running processor. */
  apic(): LocalApic;
  apicBase(): bigint;
}

type Row = { start: bigint; end: bigint; permissions: string; offset: number; name: string };

export class MemoryMap {
  /** 64 KB that kernels test instructions on: it is memory, but every access goes the way of a device. */
  testRam: Uint8Array<ArrayBuffer> = new Uint8Array(TEST_RAM_BYTES);

  constructor(readonly devices: MemoryDevices) {}

  read(hpa: number, into: Uint8Array): void {
    const test = hpa - TEST_RAM;
    if (test >= 0 && test + into.length <= TEST_RAM_BYTES) into.set(this.testRam.subarray(test, test + into.length));
    else if (!this.#registers(hpa)) into.fill(0xff);
    else for (let at = 0; at < into.length; at++) into[at] = this.#byte(hpa, at);
  }

  /** Byte `at` of an access at `hpa`; a register is read once for the whole of it. */
  #value = 0;
  #byte(hpa: number, at: number): number {
    const address = hpa + at;
    if (at === 0 || (address & 3) === 0) this.#value = this.#readRegister(address & ~3 & 0xfff, hpa);
    return (this.#value >>> ((address & 3) * 8)) & 0xff;
  }

  write(hpa: number, data: Uint8Array): void {
    const test = hpa - TEST_RAM;
    if (test >= 0 && test + data.length <= TEST_RAM_BYTES) return this.testRam.set(data, test);
    if (!this.#registers(hpa) || hpa & 3) return;
    for (let at = 0; at < data.length; at += 4) {
      let value = 0;
      for (let byte = 0; byte < 4; byte++) value |= (data[at + byte] ?? 0) << (byte * 8);
      this.#writeRegister((hpa + at) & 0xfff, hpa, value >>> 0);
    }
  }

  #registers(hpa: number): boolean {
    return this.#isApic(hpa) || this.#isIoApic(hpa);
  }
  #isIoApic(hpa: number): boolean {
    return hpa >= IO_APIC && hpa < IO_APIC + PAGE;
  }
  #isApic(hpa: number): boolean {
    const base = this.devices.apicBase();
    if (!(base & APIC_ENABLED) || base & APIC_X2) return false;
    const first = Number(base & APIC_BASE_ADDRESS);
    return hpa >= first && hpa < first + PAGE;
  }

  #readRegister(offset: number, hpa: number): number {
    if (this.#isApic(hpa)) return offset & 15 ? 0 : this.devices.apic().read(offset >> 4);
    return this.devices.ioApic.read(offset);
  }
  #writeRegister(offset: number, hpa: number, value: number): void {
    if (!this.#isApic(hpa)) this.devices.ioApic.write(offset, value);
    else if (!(offset & 15)) this.devices.apic().write(offset >> 4, value);
  }

  /** For the debugger. */
  rows(ramBytes: number): Row[] {
    const row = (start: number, bytes: number, permissions: string, name: string): Row => ({
      start: BigInt(start),
      end: BigInt(start + bytes),
      permissions,
      offset: 0,
      name,
    });
    const apic = Number(this.devices.apicBase() & APIC_BASE_ADDRESS);
    return [
      row(0, ramBytes, 'rwxp', '[RAM]'),
      row(IO_APIC, PAGE, 'rw-p', '[I/O APIC]'),
      row(apic, PAGE, 'rw-p', '[local APIC]'),
      row(TEST_RAM, TEST_RAM_BYTES, 'rw-p', '[test memory]'),
    ];
  }
}

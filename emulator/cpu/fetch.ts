/** Bytes of code. Inside the driver a linear address is a number (code-address.ts). */
import { ACCESS_EXEC } from './codes.ts';
import { highHalf, toBigint } from './code-address.ts';
import type { CoreExports } from './context.ts';
import type { CodeMode, DecodeTable } from './decode-table.ts';
import { decode, decodeFailure, MAX_INSTRUCTION_LENGTH } from './decode.ts';
import type { DecodedInstruction } from './decode.ts';
import * as L from './layout.ts';
import type { LinearMemory } from './state.ts';

const PAGE = 4096;
const MODE_64 = 2;
const TWO_32 = 0x1_0000_0000;

export const pageOf = (gva: number): number => Math.floor(gva / PAGE);

/** Where the bytes of a page of code are. */
export interface CodePage {
  /** Offset in linear memory of the byte at the address that was asked for. */
  readonly host: number;
  readonly pfn: number;
}

export type Fetched =
  | { readonly insn: DecodedInstruction; /** Frame of the second page, or -1. */ readonly secondPfn: number }
  /** Bytes that are no instruction: #UD, or #GP(0) for more than 15. */
  | {
      readonly insn: undefined;
      readonly vector: 6 | 13;
      readonly because: string;
      readonly bytes: Uint8Array;
      readonly secondPfn: number;
    }
  /** FAULT_* says why the next page cannot be fetched from. */
  | 'fault'
  /** It goes on on the next page, which was not to be looked at. */
  | 'crosses';

export class CodeFetcher {
  constructor(
    readonly mem: LinearMemory,
    readonly core: CoreExports,
    readonly table: DecodeTable,
  ) {}

  /** The page of an address by the rules of an instruction fetch; undefined with FAULT_* filled. */
  page(gva: number): CodePage | undefined {
    const host = this.locate(gva);
    return host === 0 ? undefined : { host, pfn: (host - L.RAM_BASE) >>> 12 };
  }
  /** As `page`: the offset in linear memory alone, 0 with FAULT_* filled. */
  locate(gva: number): number {
    const bank = (this.mem.get32(L.TLB_BASE) - L.TLB) / L.TLB_BANK_BYTES;
    const entry = L.CODE_TLB + bank * L.CODE_BANK_BYTES + ((pageOf(gva) & (L.CODE_ENTRIES - 1)) << L.CODE_SHIFT);
    const tag = ((gva & ~(PAGE - 1)) | L.CODE_VALID) >>> 0;
    const hit = this.mem.get32(entry) === tag && this.mem.get32(entry + 4) === highHalf(gva) >>> 0;
    return hit ? (gva + this.mem.get32(entry + L.CODE_ADDEND)) >>> 0 : this.#translate(gva);
  }
  #translate(gva: number): number {
    const host = this.core.translate(toBigint(gva), ACCESS_EXEC);
    return host === -1 || host === -2 ? 0 : host >>> 0;
  }

  /**
   * The instruction at an address whose page is known.
   * @param mayCross false: nothing is fetched from the next page, which the program may never reach
   * @param base of CS, outside 64-bit mode
   */
  instruction(gva: number, host: number, mode: CodeMode, mayCross: boolean, base = 0): Fetched {
    const { bytes } = this.mem;
    const left = PAGE - (host & (PAGE - 1));
    if (left >= MAX_INSTRUCTION_LENGTH) return this.#decode(bytes, host, gva, mode, -1, base);
    const code = bytes.slice(host, host + left);
    const insn = decode(code, 0, toBigint(gva), mode, this.table, base);
    if (insn) return { insn, secondPfn: -1 };
    if (decodeFailure() !== 'truncated') return this.#decode(code, 0, gva, mode, -1, base);
    if (!mayCross) return 'crosses';
    const second = this.page(mode === MODE_64 ? gva + left : (gva + left) % TWO_32);
    if (!second) return 'fault';
    const joined = new Uint8Array(left + MAX_INSTRUCTION_LENGTH);
    joined.set(bytes.subarray(host, host + left));
    joined.set(bytes.subarray(second.host, second.host + MAX_INSTRUCTION_LENGTH), left);
    return this.#decode(joined, 0, gva, mode, second.pfn, base);
  }
  /**
   * The instruction at a linear address, looked at without side effects; undefined if it cannot be read.
   * @param peek physical address of a linear one, or -1
   */
  look(gva: bigint, peek: (gva: bigint) => number, mode: CodeMode, base = 0): DecodedInstruction | undefined {
    const code = new Uint8Array(MAX_INSTRUCTION_LENGTH);
    let length = 0;
    while (length < MAX_INSTRUCTION_LENGTH) {
      const hpa = peek(gva + BigInt(length));
      if (hpa < 0) break;
      const here = Math.min(MAX_INSTRUCTION_LENGTH - length, PAGE - (hpa & (PAGE - 1)));
      code.set(this.mem.bytes.subarray(L.RAM_BASE + hpa, L.RAM_BASE + hpa + here), length);
      length += here;
    }
    return decode(code.subarray(0, length), 0, gva, mode, this.table, base);
  }
  #decode(
    code: Uint8Array,
    offset: number,
    gva: number,
    mode: CodeMode,
    secondPfn: number,
    base: number,
  ): Exclude<Fetched, string> {
    const insn = decode(code, offset, toBigint(gva), mode, this.table, base);
    if (insn) return { insn, secondPfn };
    const bytes = code.slice(offset, offset + MAX_INSTRUCTION_LENGTH);
    if (decodeFailure() === 'too-long')
      return { insn: undefined, vector: 13, because: 'an instruction of more than 15 bytes', bytes, secondPfn };
    return { insn: undefined, vector: 6, because: `no such instruction: ${hexBytes(bytes)}`, bytes, secondPfn };
  }
}

const hexBytes = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

/**
 * Breakpoints of the debug registers (SDM 3B 18.2). Nothing here costs anything while DR7 enables none: instruction breakpoints are stops of decoded
 * blocks, data breakpoints are ranges that the core watches by withholding TLB tags.
 */
import * as L from './layout.ts';
import type { CoreExports } from './context.ts';
import { toNumber } from './code-address.ts';
import type { LinearMemory } from './state.ts';
import { BLOCKED_BY_MOV_SS } from './codes.ts';
import { CR4_DE } from './control-bits.ts';
import { Flag } from './system/rflags.ts';

/** DR6 (SDM 3B 18.2.3): breakpoint conditions 3:0, general detect, single step, task switch. */
export const Dr6 = { BREAKPOINTS: 0xf, BD: 0x2000, BS: 0x4000, BT: 0x8000 } as const;

const ENABLES = 0xff;
const COUNT = 4;
/** Values of R/W in DR7. */
const EXECUTE = 0;
const WRITE = 1;
const PORT = 2;
const READ_WRITE = 3;
/** Bytes by LEN. */
const LENGTHS = [1, 2, 8, 4] as const;
/** Passes over stops of breakpoints that are no longer there, before the stops go, too. */
const MOST_PASSES = 100;

export interface DebugHooks {
  /** The code addresses at which blocks must end changed: `stops`. */
  stopsChanged(): void;
  /** Drops what every TLB bank holds of a page. */
  forgetPage(gva: bigint): void;
}

export class DebugRegisters {
  /** Addresses of instruction breakpoints, those of other threads included: DR0 to DR3 decide when one is met. */
  readonly stops = new Set<number>();
  /** What was in force when the breakpoints were put in place: DR7, CR4.DE, the addresses. */
  #dr7 = 0;
  #extensions = false;
  readonly #addresses = new BigUint64Array(COUNT);
  #passes = 0;

  constructor(
    private readonly mem: LinearMemory,
    private readonly core: CoreExports,
    private readonly hooks: DebugHooks,
  ) {}

  /** To be called when another context is in force. */
  contextChanged(): void {
    const dr7 = this.mem.get32(L.DR7);
    if ((dr7 & ENABLES) === 0 && this.#dr7 === 0) return;
    if (dr7 !== this.#dr7 || this.#moved()) this.#arm(dr7);
  }
  /** Memory and TLB have been replaced. */
  reset(): void {
    this.stops.clear();
    this.#dr7 = 0;
    this.mem.set32(L.WATCHES, this.mem.get32(L.WATCHES) & ~Dr6.BREAKPOINTS);
    this.mem.set32(L.WATCH_HITS, 0);
  }

  #moved(): boolean {
    for (let n = 0; n < COUNT; n++) if (this.#addresses[n] !== this.mem.u64[(L.DR0 >>> 3) + n]) return true;
    return this.#extensions !== this.#hasExtensions;
  }
  get #hasExtensions(): boolean {
    return (this.mem.get32(L.CR4) & CR4_DE) !== 0;
  }

  #arm(dr7: number): void {
    const { mem } = this;
    this.#dr7 = dr7 & ENABLES ? dr7 : 0;
    this.#extensions = this.#hasExtensions;
    let watches = mem.get32(L.WATCHES) & ~Dr6.BREAKPOINTS;
    const before = this.stops.size;
    for (let n = 0; n < COUNT; n++) {
      const address = mem.get64(L.DR0 + n * 8);
      this.#addresses[n] = address;
      if (!this.#enabled(n)) continue;
      const kind = this.#kind(n);
      if (kind === EXECUTE) this.stops.add(toNumber(address));
      if (kind === WRITE || kind === READ_WRITE) {
        this.#watch(n, address, kind);
        watches |= 1 << n;
      }
    }
    mem.set32(L.WATCHES, watches);
    if (this.stops.size !== before) this.hooks.stopsChanged();
  }
  #watch(slot: number, address: bigint, kind: number): void {
    const { mem } = this;
    const at = L.WATCH_LIST + (slot << L.WATCH_SHIFT);
    const bytes = BigInt(this.#length(slot));
    // The low bits that the length leaves no room for do not count (SDM 3B 18.2.5).
    const first = address & ~(bytes - 1n);
    mem.set64(at + L.WATCH_FIRST, first);
    mem.set64(at + L.WATCH_LAST, first + bytes - 1n);
    mem.set32(at + L.WATCH_KIND, kind === WRITE ? L.WATCH_WRITES : L.WATCH_WRITES | L.WATCH_READS);
    this.hooks.forgetPage(first);
  }

  #enabled(n: number): boolean {
    return ((this.#dr7 >>> (2 * n)) & 3) !== 0;
  }
  #kind(n: number): number {
    return (this.#dr7 >>> (16 + 4 * n)) & 3;
  }
  #length(n: number): number {
    return LENGTHS[(this.#dr7 >>> (18 + 4 * n)) & 3]!;
  }

  /** Bits of DR6 for the instruction breakpoints at `gva` in the context in force; 0 while RF or a MOV to SS holds them off. */
  instructionHits(gva: number): number {
    let hits = 0;
    for (let n = 0; n < COUNT; n++) {
      if (this.#enabled(n) && this.#kind(n) === EXECUTE && toNumber(this.#addresses[n]!) === gva) hits |= 1 << n;
    }
    if (hits === 0) this.#passed();
    const { mem } = this;
    const held = mem.get32(L.SYSTEM_FLAGS) & Flag.RF || mem.get32(L.INTERRUPTIBILITY) & BLOCKED_BY_MOV_SS;
    return held ? 0 : hits;
  }
  /** A stop of nobody's breakpoint was met. */
  #passed(): void {
    if (++this.#passes < MOST_PASSES) return;
    this.#passes = 0;
    this.stops.clear();
    this.#arm(this.#dr7);
    this.hooks.stopsChanged();
  }

  /** An instruction accessed I/O ports: takes note of breakpoints there (CR4.DE = 1). */
  notePort(port: number, bytes: number): void {
    if (this.#dr7 === 0 || !this.#extensions) return;
    let hits = 0;
    for (let n = 0; n < COUNT; n++) {
      if (!this.#enabled(n) || this.#kind(n) !== PORT) continue;
      const length = this.#length(n);
      const first = Number(this.#addresses[n]! & 0xffffn) & ~(length - 1);
      if (first < port + bytes && first + length > port) hits |= 1 << n;
    }
    this.mem.set32(L.WATCH_HITS, this.mem.get32(L.WATCH_HITS) | hits);
  }
  /** A system instruction accesses memory: takes note of breakpoints there. */
  noteAccess(gva: bigint, bytes: number, access: number): void {
    if (this.mem.get32(L.WATCHES) !== 0) this.core.noteAccess(gva, bytes, access);
  }
}

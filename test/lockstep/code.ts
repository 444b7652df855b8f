/**
 * Random code for lock-step scenarios: pieces of the differential tester's instructions in loops, with calls, indirect jumps, strings, stores into code, kernel
 * actions, single-stepping and interrupt windows between them. Each piece announces where it is to be left when it faults.
 */
import { whyLeftOutHere } from './forms.ts';
import { allForms } from '../isa/fuzz/forms.ts';
import type { Form } from '../isa/fuzz/forms.ts';
import { sequence } from '../isa/fuzz/program.ts';
import type { Random } from '../isa/support/random.ts';
import {
  ACTIONS,
  CODE_FRAMES,
  CODE_PAGES,
  CODE_WINDOW,
  DATA_FRAMES,
  DATA_WINDOW,
  EVERYTHING_ALLOWED,
  OTHER_CODE_FRAMES,
  PAGE,
  PCIDS,
  ROOTS,
  STACK_TOP,
  VARIABLES,
} from './guest.ts';
import type { Action } from './guest.ts';

/** Pages that random pointers lie in. */
const POINTED_PAGES = 8;
const RAX = 0;
const RCX = 1;
const RBX = 3;
const RSP = 4;
const RSI = 6;
const RDI = 7;
/** Variables: the landing (the kernel reads it), counters of the outer and the inner loop, MXCSR. */
const LANDING = VARIABLES;
const OUTER = VARIABLES + 8;
const INNER = VARIABLES + 16;
const TURN = VARIABLES + 24;
export const MXCSR_VALUE = VARIABLES + 32;

const word = (value: number): number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255];
function quad(value: bigint): number[] {
  const low = Number(BigInt.asUintN(32, value));
  return [...word(low), ...word(Number(BigInt.asIntN(32, value >> 32n)))];
}
const absolute = (opcode: readonly number[], field: number, address: number): number[] => [
  ...opcode,
  (field << 3) | 4,
  0x25,
  ...word(address),
];

interface Forms {
  readonly all: readonly Form[];
  /** Those that seldom fault. */
  readonly tame: readonly Form[];
}
const formsOf = new Map<number, Forms>();
function forms(ring: 0 | 3): Forms {
  let found = formsOf.get(ring);
  if (!found) {
    const all = allForms().filter((form) => whyLeftOutHere(form, ring) === undefined);
    const tame = all.filter(({ row }) => !row.system && !/^(f|ud|v?maskmov|xrstor|ldmxcsr|vldmxcsr)/.test(row.op));
    formsOf.set(ring, (found = { all, tame }));
  }
  return found;
}

/** Pieces, by how often. */
const PIECES = [
  'loop', 'loop', 'loop', 'loop', 'call', 'recursion', 'indirect', 'strings', 'change', 'action', 'action', 'system_call', 'stepped', 'window',
  'divide',
] as const; // prettier-ignore

export class CodeWriter {
  readonly bytes: number[] = [];
  readonly #forms: Forms;
  /** Offsets of immediates that stores into code may change. */
  readonly #immediates: number[] = [];

  constructor(
    readonly random: Random,
    readonly ring: 0 | 3,
  ) {
    this.#forms = forms(ring);
  }

  /** A program of so many pieces, which ends by its last action. */
  program(pieces: number, rounds: number): Uint8Array {
    this.#put(...this.#moveWord(OUTER, rounds));
    const start = this.#here;
    for (let i = 0; i < pieces; i++) this.#piece();
    // Where the last piece lands.
    this.#put(...absolute([0xff], 1, OUTER));
    this.#put(0x0f, 0x85, ...word(start - this.#here - 6));
    this.#action('end', 0, 0n);
    const room = CODE_PAGES * PAGE;
    if (this.bytes.length > room) throw new Error(`${this.bytes.length} bytes of code`);
    return Uint8Array.from([...this.bytes, ...new Array<number>(room - this.bytes.length).fill(0xcc)]);
  }

  get #here(): number {
    return this.bytes.length;
  }
  #put(...bytes: readonly number[]): void {
    this.bytes.push(...bytes);
  }
  #patch(at: number, value: number): void {
    word(value).forEach((byte, i) => (this.bytes[at + i] = byte));
  }
  #moveWord(address: number, value: number): number[] {
    return [...absolute([0xc7], 0, address), ...word(value)];
  }
  #load(register: number, value: bigint): void {
    this.#put(register & 8 ? 0x49 : 0x48, 0xb8 | (register & 7), ...quad(value));
  }

  #piece(): void {
    const { random } = this;
    this.#put(...absolute([0x48, 0xc7], 0, LANDING));
    const landing = this.#here;
    this.#put(...word(0));
    this.#load(RSP, BigInt(STACK_TOP));
    // Pages are left behind in the middle of pieces.
    if (random.oneIn(6)) this.#toNextPage();
    const kind = random.pick(PIECES);
    if (kind === 'loop') this.#loop(() => this.#body(random.oneIn(3) ? 30 : 8));
    else if (kind === 'call') this.#call();
    else if (kind === 'recursion') this.#recursion();
    else if (kind === 'indirect') this.#indirect();
    else if (kind === 'strings') this.#strings();
    else if (kind === 'change') this.#change();
    else if (kind === 'action') this.#randomAction();
    else if (kind === 'system_call') this.#systemCall();
    else if (kind === 'stepped') this.#stepped();
    else if (kind === 'window') this.#window();
    else this.#divide();
    this.#patch(landing, CODE_WINDOW + this.#here);
  }
  #toNextPage(): void {
    const left = (PAGE - (this.#here % PAGE)) % PAGE;
    if (this.#here + left > (CODE_PAGES / 2) * PAGE) return;
    // So that the jump itself, or what follows, may lie across the border.
    const stop = left - this.random.below(12);
    if (stop < 5) return;
    this.#put(0xe9, ...word(stop - 5));
    for (let i = 5; i < stop; i++) this.#put(0x90);
  }

  /** DEC of a counter in memory around a body. */
  #loop(body: () => void): void {
    const { random } = this;
    this.#put(...this.#moveWord(INNER, random.oneIn(3) ? 1 + random.below(400) : 1 + random.below(40)));
    const top = this.#here;
    if (random.oneIn(2)) this.#put(...absolute([0x0f, 0xae], 2, MXCSR_VALUE));
    if (random.oneIn(3)) this.#put(0xdb, 0xe3);
    body();
    this.#put(...absolute([0xff], 1, INNER));
    this.#put(0x0f, 0x85, ...word(top - this.#here - 6));
  }
  /** Instructions as the differential tester makes them, behind loads of what they point with. */
  #body(most: number): void {
    const { random } = this;
    const { all, tame } = this.#forms;
    const made = sequence(random, random.oneIn(4) ? all : tame, CODE_WINDOW + this.#here, 1 + most);
    for (const pointer of made.pointers) this.#load(pointer, this.#pointer());
    this.#put(...made.code);
  }
  #pointer(): bigint {
    const { random } = this;
    const page = DATA_WINDOW + random.below(POINTED_PAGES) * PAGE;
    if (random.oneIn(8)) return BigInt(page + PAGE - random.below(64));
    return BigInt(page + 128 + random.below((PAGE - 256) / 32) * 32);
  }

  /** A loop that calls what stands behind a jump over it. */
  #call(): void {
    const { random } = this;
    this.#put(0xe9, ...word(0));
    const over = this.#here;
    this.#body(8);
    if (random.oneIn(2)) this.#put(0xc3);
    else this.#put(0xc2, 8, 0);
    const released = this.bytes[this.#here - 1] !== 0xc3;
    this.#patch(over - 4, this.#here - over);
    this.#loop(() => {
      if (released) this.#put(0x50);
      this.#put(0xe8, ...word(over - this.#here - 5));
      if (random.oneIn(2)) this.#body(4);
    });
  }
  /** MOV ECX, depth; CALL 1f; JMP 2f; 1: DEC ECX; JZ 3f; a few pushes; CALL 1b; 3: RET; 2: */
  #recursion(): void {
    const { random } = this;
    this.#loop(() => {
      this.#put(0xb9, ...word(1 + random.below(20)));
      this.#put(0xe8, ...word(5), 0xe9, ...word(0));
      const over = this.#here;
      this.#put(0xff, 0xc9, 0x74, 0);
      const out = this.#here;
      this.#put(0x83, 0xc0, random.below(128));
      this.#put(0xe8, ...word(over - this.#here - 5));
      this.bytes[out - 1] = this.#here - out;
      this.#put(0xc3);
      this.#patch(over - 4, this.#here - over);
    });
  }
  /** A jump through a table of four, by a count of turns. */
  #indirect(): void {
    const { random } = this;
    this.#put(0xe9, ...word(32));
    const table = this.#here;
    for (let i = 0; i < 32; i++) this.#put(0);
    this.#loop(() => {
      // MOV EAX, [TURN]; INC DWORD PTR [TURN]; SHR EAX, n; AND EAX, 3; JMP [table + RAX * 8]
      this.#put(...absolute([0x8b], RAX, TURN), ...absolute([0xff], 0, TURN));
      this.#put(0xc1, 0xe8, random.pick([0, 0, 3, 6]), 0x83, 0xe0, 3);
      this.#put(0xff, 0x24, 0xc5, ...word(CODE_WINDOW + table));
      const ends: number[] = [];
      for (let way = 0; way < 4; way++) {
        quad(BigInt(CODE_WINDOW + this.#here)).forEach((byte, i) => (this.bytes[table + way * 8 + i] = byte));
        this.#body(3);
        this.#put(0xe9, ...word(0));
        ends.push(this.#here);
      }
      for (const end of ends) this.#patch(end - 4, this.#here - end);
    });
  }
  #strings(): void {
    const { random } = this;
    this.#loop(() => {
      this.#load(RSI, this.#pointer());
      this.#load(RDI, this.#pointer());
      // Some end a part (REPEAT_PART) on the way.
      const parts = random.oneIn(6) ? random.below(4) : 0;
      this.#put(0xb9, ...word(parts * 0x10000 + random.below(random.oneIn(8) ? 3000 : 40)));
      const down = random.oneIn(4);
      if (down) this.#put(0xfd);
      this.#put(random.pick([0xf2, 0xf3]), ...(random.oneIn(2) ? [0x48] : []), random.pick([0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xae, 0xaf])); // prettier-ignore
      if (down) this.#put(0xfc);
    });
  }
  /** Stores into immediates of this and earlier pieces, in the middle of their loops. */
  #change(): void {
    const { random } = this;
    this.#loop(() => {
      this.#put(0x05);
      this.#immediates.push(this.#here);
      this.#put(...word(random.next() | 0));
      const target = CODE_WINDOW + random.pick(this.#immediates);
      const store = random.below(3);
      if (store === 0) this.#put(...absolute([0xfe], random.below(2), target));
      else if (store === 1) this.#put(...absolute([0x01], RAX, target));
      else this.#put(...absolute([0x88], RAX, target + random.below(4)));
      if (random.oneIn(2)) this.#body(4);
    });
  }

  #action(action: Action, rbx: number, rcx: bigint): void {
    this.#load(RCX, rcx);
    this.#put(0xbb, ...word(rbx), 0xb8, ...word(ACTIONS.indexOf(action)), 0xcd, 0x80);
  }
  #randomAction(): void {
    const { random } = this;
    const once = (): void => {
      const page = random.below(POINTED_PAGES);
      const action = ACTIONS[1 + random.below(ACTIONS.length - 1)]!;
      const frame = BigInt(DATA_FRAMES + random.below(POINTED_PAGES + 2) * PAGE);
      const which = random.below(2);
      const codePage = random.below(CODE_PAGES);
      const codeFrame = BigInt((random.oneIn(2) ? CODE_FRAMES : OTHER_CODE_FRAMES) + codePage * PAGE);
      const keep = random.oneIn(2) ? 1n << 63n : 0n;
      if (action === 'set_data' || action === 'set_data_stale') this.#action(action, page, frame | this.#rights());
      else if (action === 'load_cr3') this.#action(action, 0, BigInt(ROOTS[which]! + PCIDS[which]!) | keep);
      else if (action === 'invlpg') this.#action(action, 0, BigInt(DATA_WINDOW + page * PAGE));
      else if (action === 'set_code')
        this.#action(action, codePage, codeFrame | (random.oneIn(4) ? 4n : EVERYTHING_ALLOWED));
      else if (action === 'change_byte' && this.#immediates.length > 0)
        this.#action(action, random.below(256), BigInt(CODE_FRAMES + random.pick(this.#immediates)));
      else if (action === 'invpcid') {
        this.#put(0xba, ...word(random.pick(PCIDS)));
        this.#action(action, random.below(4), BigInt(DATA_WINDOW + page * PAGE));
      } else this.#action(random.pick(['flush_global', 'toggle_wp', 'invlpg']), 0, BigInt(DATA_WINDOW));
    };
    if (random.oneIn(2)) once();
    else
      this.#loop(() => {
        this.#body(4);
        once();
        this.#body(4);
      });
  }
  /** Bits of a data page's entry. */
  #rights(): bigint {
    return randomRights(this.random);
  }
  #systemCall(): void {
    if (this.ring === 0) return;
    this.#loop(() => {
      this.#body(4);
      this.#put(0x0f, 0x05);
    });
  }
  /** PUSHF; OR BYTE PTR [RSP+1], 1; POPF; ...; PUSHF; AND BYTE PTR [RSP+1], ~1; POPF. */
  #stepped(): void {
    this.#put(0x9c, 0x80, 0x4c, 0x24, 1, 1, 0x9d);
    this.#loop(() => this.#body(5));
    this.#put(0x9c, 0x80, 0x64, 0x24, 1, 0xfe, 0x9d);
  }
  /** Interrupts held back for a while, if the ring may. */
  #window(): void {
    const { random } = this;
    this.#loop(() => {
      if (this.ring === 0) this.#put(0xfa);
      this.#body(6);
      if (this.ring === 0) {
        if (random.oneIn(2)) this.#put(0xfb);
        else this.#put(0x9c, 0x80, 0x4c, 0x24, 1, 2, 0x9d);
      }
      this.#body(3);
    });
  }
  /** Divisions, of which some fault. */
  #divide(): void {
    const { random } = this;
    this.#loop(() => {
      this.#load(RBX, BigInt(random.oneIn(8) ? 0 : 1 + random.below(1000)));
      this.#put(0x31, 0xd2, 0x48, 0xf7, random.oneIn(2) ? 0xf3 : 0xfb);
      this.#put(0x66, 0xf7, 0xf3);
    });
  }
}

/** Mostly all rights; else read-only, not present, of the kernel alone, not executable. */
export function randomRights(random: Random): bigint {
  if (random.oneIn(2)) return EVERYTHING_ALLOWED;
  return random.pick([5n, 5n, 0n, 4n, 3n, EVERYTHING_ALLOWED | (1n << 63n), 0x107n, 0x67n]);
}

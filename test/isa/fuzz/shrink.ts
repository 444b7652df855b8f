/** Makes a mismatch small: fewer instructions, plain registers, zeroed memory, as long as it still differs. */
import { Batch } from './batch.ts';
import { formatCase, INPUT_PARTS, plainState, programOf } from './case-text.ts';
import { Comparer } from './compare.ts';
import type { Difference } from './compare.ts';
import { EmulatedCpu } from './emulated.ts';
import type { BackEnd } from './emulated.ts';
import type { Mismatch } from './fuzzer.ts';
import * as F from './layout.ts';
import type { Patch } from './layout.ts';
import { memoryOperand } from './program.ts';

interface Candidate {
  readonly code: readonly number[];
  readonly state: Uint8Array;
  readonly patches: readonly Patch[];
  readonly pages: Uint8Array;
}

export interface Shrunk {
  /** As in test/isa/regressions.txt, if `whole`. */
  readonly text: string;
  readonly code: readonly number[];
  readonly differences: readonly Difference[];
  /** The line says all there is to say. */
  readonly whole: boolean;
}

/** States that run a program to its end before the case itself: the translator is to have it. */
const WARM = 4;

export class Shrinker {
  readonly #batch = new Batch(8);
  readonly #comparer = new Comparer(this.#batch);
  readonly #cpus = new Map<BackEnd, EmulatedCpu>();

  dispose(): void {
    this.#batch.dispose();
  }

  /** How a case ends differently, if it does. */
  differences(backEnd: BackEnd, { code, state, patches, pages }: Candidate): readonly Difference[] | undefined {
    const batch = this.#batch;
    let cpu = this.#cpus.get(backEnd);
    if (!cpu) this.#cpus.set(backEnd, (cpu = new EmulatedCpu(backEnd)));
    batch.clear();
    batch.pages.set(pages);
    this.#comparer.pagesChanged();
    const program = programOf(code, batch.nextAddress);
    batch.addProgram(program);
    const placed = state.slice();
    new DataView(placed.buffer).setBigUint64(F.AT_RIP, BigInt(program.address), true);
    batch.addCase(program, placed, patches);
    batch.run();
    cpu.load(batch);
    if (backEnd === 'translator' && batch.vector(0) === F.NO_VECTOR)
      for (let i = 0; i < WARM; i++) {
        cpu.run(placed, patches);
        cpu.pages.set(batch.pages);
      }
    return this.#comparer.run(cpu, 0, false);
  }

  shrink({ backEnd, program, state, patches, pages, differences }: Mismatch): Shrunk {
    let best: Candidate = { code: program.code, state, patches, pages };
    let found = this.differences(backEnd, best);
    if (!found) return { text: formatCase(best.code, state, patches), code: best.code, differences, whole: false };
    const kind = kindOf(found);
    const attempt = (change: Partial<Candidate>): boolean => {
      const candidate = { ...best, ...change };
      const still = this.differences(backEnd, candidate);
      if (!still || kindOf(still) !== kind) return false;
      [best, found] = [candidate, still];
      return true;
    };
    this.#fewer(
      () => best.code,
      (code) => code.length > 0 && attempt({ code }),
    );
    const zero = new Uint8Array(F.DATA_BYTES);
    if (!attempt({ pages: zero, patches: [] }) && !attempt({ pages: zero }))
      attempt({ pages: zero, patches: windows(best) });
    this.#plain(
      () => best.state,
      (changed) => attempt({ state: changed }),
    );
    for (const patch of best.patches) attempt({ patches: best.patches.filter((other) => other !== patch) });
    const whole = best.pages.every((byte) => byte === 0);
    return { text: formatCase(best.code, best.state, best.patches), code: best.code, differences: found, whole };
  }

  #fewer(code: () => readonly number[], attempt: (code: readonly number[]) => boolean): void {
    const { instructions } = programOf(code(), F.CODE);
    for (let i = instructions.length - 1; i >= 0; i--) {
      const { offset, length } = programOf(code(), F.CODE).instructions[i]!;
      attempt(without(code(), offset, length));
    }
  }
  #plain(state: () => Uint8Array, attempt: (state: Uint8Array) => boolean): void {
    const plain = plainState();
    for (const { at, bytes } of INPUT_PARTS) {
      const changed = state().slice();
      changed.set(plain.subarray(at, at + bytes), at);
      if (Buffer.compare(changed, state()) !== 0) attempt(changed);
    }
  }
}

/** What has to stay the same, so that it is still the same difference. */
function kindOf(differences: readonly Difference[]): string {
  const { part, expected, got } = differences[0]!;
  return part === 'vector' ? `vector ${expected} ${got}` : part.replace(/\d.*/, '');
}

/** Code without an instruction; the short branches over it are made shorter. */
function without(code: readonly number[], offset: number, length: number): number[] {
  const left = [...code];
  for (const { offset: at, length: size, insn } of programOf(code, F.CODE).instructions) {
    const target = insn?.operands[0]?.kind === 'target' ? Number(insn.operands[0].gva) - F.CODE : -1;
    if (size === 2 && at < offset && target > offset) left[at + 1]! -= length;
  }
  left.splice(offset, length);
  return left;
}

/** What stands in memory where the operands are. */
function windows({ code, state, patches, pages }: Candidate): Patch[] {
  const found = [...patches];
  const gpr = new BigUint64Array(state.slice(0, 128).buffer);
  for (const { insn } of programOf(code, F.CODE).instructions) {
    const memory = insn && memoryOperand(insn);
    if (!memory) continue;
    const base =
      (memory.base < 0 ? 0n : gpr[memory.base]!) + (memory.index < 0 ? 0n : gpr[memory.index]! << BigInt(memory.scale));
    const address = Math.max(Number(BigInt.asUintN(32, base + memory.displacement)) - 16, F.DATA);
    if (found.length === F.PATCHES || address + F.PATCH_BYTES > F.DATA + F.DATA_BYTES) continue;
    const right = F.RIGHTS[Math.floor((address - F.DATA) / F.PAGE)];
    const rightOfEnd = F.RIGHTS[Math.floor((address + F.PATCH_BYTES - 1 - F.DATA) / F.PAGE)];
    if (right !== F.Right.Write || rightOfEnd !== F.Right.Write) continue;
    found.unshift({ address, bytes: pages.slice(address - F.DATA, address - F.DATA + F.PATCH_BYTES) });
  }
  return found;
}

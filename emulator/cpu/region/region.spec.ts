/** Translated and interpreted code in lock step: registers, lazy flags, memory, faults and counts agree wherever a run is cut. */
import assert from 'node:assert/strict';
import { assemble } from '../../../test/support/assemble.ts';
import { RunStop } from '../engine-api.ts';
import { createTestEngine } from '../engine-test-support.ts';
import type { TestEngine } from '../engine-test-support.ts';
import * as L from '../layout.ts';
import { CODE, DATA, generator, program } from './random-code.support.ts';
import type { Random } from './random-code.support.ts';

const EAGER = { threshold: 8, batch: 4, modules: 2000, mostSteps: 1 };
const PRESENT_WRITABLE = 3n;
const PAGE = 4096;
const HLT = 0xf4;

function text(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? item.toString(16) : item));
}
/** The raw state page, what programs write, and what was raised. */
function state({ engine, faults }: TestEngine): string {
  const { mem, cpu } = engine;
  cpu.forgetDeadFlags();
  const page = Buffer.from(mem.bytes.subarray(L.STATE, L.XMM + 16 * L.XMM_STRIDE)).toString('hex');
  const data = Buffer.from(mem.bytes.subarray(L.RAM_BASE + DATA - PAGE, L.RAM_BASE + DATA + PAGE)).toString('base64');
  return `${engine.retired} ${text(faults)} ${page} ${data}`;
}

class LockStep {
  readonly interpreted = createTestEngine();
  readonly translated = createTestEngine(EAGER);

  each(action: (t: TestEngine) => void): void {
    action(this.interpreted);
    action(this.translated);
  }
  start(code: readonly number[]): void {
    this.each((t) => {
      t.put(CODE, ...code);
      t.start(CODE);
      for (const register of [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
        t.engine.cpu.setGpr(register, (BigInt(register) * 0x0123_4567_89ab_cdefn) & 0xffff_ffff_ffff_ffffn);
      t.engine.cpu.setGpr(3, BigInt(DATA));
    });
  }
  /** One slice of both; true while they run. */
  slice(instructions: number, because: string): boolean {
    const stops = [this.interpreted, this.translated].map((t) => t.engine.run(instructions));
    assert.equal(stops[1], stops[0], because);
    assert.ok(state(this.translated) === state(this.interpreted), `${because}: ${this.difference()}`);
    return stops[0] !== RunStop.Halted;
  }
  difference(): string {
    return `\n${this.interpreted.state()} ${text(this.interpreted.faults)}\n${this.translated.state()} ${text(this.translated.faults)}`;
  }
  get regions(): number {
    return this.translated.engine.translator!.translated;
  }
}

function lengths(random: Random): number {
  return 1 + Math.floor((random(1000) / 1000) ** 3 * 3000);
}

describe('region translator', () => {
  const seed = Number(process.env['SEED'] ?? 1);

  it('agrees with the interpreter on random code at random slice lengths', () => {
    const both = new LockStep();
    for (let run = 0; run < 10; run++) {
      const random = generator(seed * 1000 + run);
      both.start(program(random, 60));
      while (both.slice(lengths(random), `seed ${seed}, program ${run}`));
    }
    assert.ok(both.regions > 5, `${both.regions} regions`);
  });

  it('agrees when a page goes, and comes back, in the middle', () => {
    const both = new LockStep();
    for (let run = 0; run < 6; run++) {
      const random = generator(seed * 2000 + run);
      both.start(program(random, 60));
      const because = `seed ${seed}, program ${run}`;
      for (let round = 0; both.slice(lengths(random), because) && round < 50; round++) {
        const bits = random(3) === 0 ? 0n : random(3) === 0 ? 1n : PRESENT_WRITABLE;
        both.each((t) => t.map(DATA, DATA, bits));
      }
      // After a fault: mapped again, the instruction is repeated.
      const faulted = both.interpreted.faults.length > 0;
      both.each((t) => {
        t.map(DATA, DATA, PRESENT_WRITABLE);
        if (faulted) t.engine.mem.set32(L.ACTIVITY, 0);
        t.faults.length = 0;
      });
      while (both.slice(lengths(random), because));
    }
  });

  it('agrees on repeated string instructions of several parts', () => {
    const both = new LockStep();
    const random = generator(seed * 6000);
    // RCX is up to four parts; what SCAS looks for is sometimes there.
    const count = 'imul r13, r13, 1103515245\n add r13, 12345\n mov rcx, r13\n shr rcx, 13\n and ecx, 0x3ffff';
    const { bytes } = assemble(
      `mov r12d, 150
      again: mov edi, 0x300000\n mov rax, r13\n ${count}\n rep stosb
      mov edi, 0x600000\n mov esi, 0x300000\n ${count}\n add r9, rcx\n rep movsw
      adc r10, rsi\n mov edi, 0x300000\n ${count}\n cmp eax, ecx\n repe scasb
      setc bl\n add r11, rdi\n mov esi, 0x300000\n mov edi, 0x600000\n ${count}\n repe cmpsd
      setbe bh\n mov esi, 0x600000\n ${count}\n cmp ecx, esi\n rep lodsd
      adc r8, rax\n dec r12\n jnz again\n hlt`,
      CODE,
    );
    both.start([...bytes]);
    while (both.slice(lengths(random), `seed ${seed}`));
    assert.ok(both.regions > 0, `${both.regions} regions`);
  });

  it('agrees when breakpoints come and go', () => {
    const both = new LockStep();
    for (let run = 0; run < 6; run++) {
      const random = generator(seed * 3000 + run);
      both.each((t) => t.engine.setBreakpoints(new Set()));
      const code = program(random, 60);
      both.start(code);
      const because = `seed ${seed}, program ${run}`;
      for (let round = 0; both.slice(lengths(random), because) && round < 200; round++) {
        const standing = both.interpreted.engine.cpu.rip;
        const somewhere = new Set([standing, BigInt(CODE + random(code.length))]);
        const breakpoints = random(2) === 0 ? new Set<bigint>() : somewhere;
        both.each((t) => t.engine.setBreakpoints(breakpoints));
        both.each((t) => t.engine.step());
      }
    }
  });

  it('sees code that changes under it', () => {
    // mov ecx, 3000; 1: inc byte [rip + 3 (the immediate)]; add eax, 1; dec ecx; jnz 1b; hlt
    const code = [0xb9, 0xb8, 0x0b, 0, 0, 0xfe, 0x05, 2, 0, 0, 0, 0x83, 0xc0, 1, 0xff, 0xc9, 0x75, 0xf3, HLT];
    const both = new LockStep();
    both.start(code);
    while (both.slice(701, 'self-modifying code'));
  });

  it('drops what was translated when someone else writes code', () => {
    // mov ecx, 1000000; 1: add eax, 1; dec ecx; jnz 1b; hlt
    const code = [0xb9, 0x40, 0x42, 0x0f, 0, 0x83, 0xc0, 1, 0xff, 0xc9, 0x75, 0xf9, HLT];
    const both = new LockStep();
    both.start(code);
    both.slice(100_000, 'before');
    assert.ok(both.regions > 0);
    both.each((t) => t.put(CODE + 7, 5));
    while (both.slice(100_000, 'after'));
    assert.ok(both.translated.engine.cpu.gpr(0) > 1_000_000n);
  });

  it('keeps counts exact to the instruction', () => {
    const both = new LockStep();
    both.start(program(generator(seed), 20));
    for (let length = 1; both.slice(length, `length ${length}`); length = (length % 130) + 1);
  });

  it('bounds its modules', () => {
    const t = createTestEngine({ threshold: 3, batch: 1, modules: 4, mostSteps: 1 });
    for (let index = 0; index < 12; index++) {
      // mov ecx, 200; 1: add eax, 1; dec ecx; jnz 1b; hlt
      t.put(CODE + index * PAGE, 0xb9, 200, 0, 0, 0, 0x83, 0xc0, 1, 0xff, 0xc9, 0x75, 0xf9, HLT);
      t.start(CODE + index * PAGE);
      t.engine.run(10_000);
      t.start(CODE + index * PAGE);
      t.engine.run(10_000);
    }
    assert.equal(t.engine.cpu.gpr(0), 4800n);
    assert.ok(t.engine.translator!.translated >= 12);
  });
});

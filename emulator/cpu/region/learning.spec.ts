/** What the translator learns from running code: misses, indirect targets; and loops with several entries. Always in step with the interpreter. */
import assert from 'node:assert/strict';
import { createTestEngine } from '../engine-test-support.ts';
import type { TestEngine } from '../engine-test-support.ts';
import { RunStop } from '../engine-api.ts';
import * as L from '../layout.ts';
import type { TranslatedRegion } from './observer.ts';
import { CODE, DATA, generator } from './random-code.support.ts';
import { narrowRegisters } from './widths.ts';

const [RCX, RDX, RBX, RSI, RDI] = [1, 2, 3, 6, 7];
/** Pages this far apart share a TLB entry. */
const SAME_ENTRY = L.TLB_ENTRIES * 4096;
const HLT = 0xf4;

/** Runs code in both engines at random slice lengths until it halts; answers the regions made. */
function inStep(code: readonly number[], rounds: number, prepare: (t: TestEngine) => void): TranslatedRegion[] {
  const seed = Number(process.env['SEED'] ?? 1);
  const random = generator(seed);
  const made: TranslatedRegion[] = [];
  const observer = { made: (region: TranslatedRegion) => void made.push(region), left: () => undefined };
  const both = [createTestEngine(), createTestEngine({ threshold: 8, batch: 1, modules: 2000, observer })] as const;
  for (const t of both) {
    t.put(CODE, ...code, HLT);
    t.start(CODE);
    t.engine.cpu.setGpr(RCX, BigInt(rounds));
    prepare(t);
  }
  for (let slice = 0; ; slice++) {
    const length = 1 + random(20_000);
    const [one, other] = both.map((t) => t.engine.run(length));
    assert.equal(other, one, `seed ${seed}, slice ${slice}`);
    assert.equal(both[1].state(), both[0].state(), `seed ${seed}, slice ${slice}`);
    assert.equal(both[1].engine.retired, both[0].engine.retired);
    const [vectors, others] = both.map(({ engine: { mem } }) => mem.bytes.slice(L.XMM, L.MXCSR + 4));
    assert.deepEqual(others, vectors, `seed ${seed}, slice ${slice}`);
    if (one === RunStop.Halted) break;
  }
  for (const at of [DATA, DATA + SAME_ENTRY]) {
    const [one, other] = both.map(({ engine: { mem } }) => mem.bytes.slice(L.RAM_BASE + at, L.RAM_BASE + at + 4096));
    assert.deepEqual(other, one);
  }
  return made;
}

describe('region translator, learning', () => {
  it('translates again where accesses miss the TLB often, with calls of the slow path', () => {
    const code = [
      ...[0x48, 0x03, 0x03], // add (%rbx), %rax
      ...[0x48, 0x89, 0x43, 0x08], // mov %rax, 8(%rbx)
      ...[0x48, 0x03, 0x16], // add (%rsi), %rdx
      ...[0x48, 0x89, 0x56, 0x10], // mov %rdx, 16(%rsi)
      ...[0x48, 0xff, 0xc9], // dec %rcx
      ...[0x75, 0xed], // jnz
    ];
    const made = inStep(code, 30_000, ({ engine: { cpu } }) => {
      cpu.setGpr(RBX, BigInt(DATA));
      cpu.setGpr(RSI, BigInt(DATA + SAME_ENTRY));
    });
    const gva = BigInt(CODE);
    const again = made.filter(({ graph }) => graph.entry.code.insns[0]!.gva === gva);
    assert.ok(again.length > 1 && again.length < 6, `${again.length} times`);
  });

  it('does not translate again for misses that are faults', () => {
    const [PAGES, FIRST] = [600, 0x100_0000];
    const code = [
      ...[0x48, 0x83, 0xc7, 0x08], // loop: add $8, %rdi
      ...[0x48, 0x89, 0x0f], // mov %rcx, (%rdi)
      ...[0x48, 0xff, 0xc9], // dec %rcx
      ...[0x75, 0xf4], // jnz
    ];
    const made: TranslatedRegion[] = [];
    const observer = { made: (region: TranslatedRegion) => void made.push(region), left: () => undefined };
    const t = createTestEngine({ threshold: 8, batch: 1, modules: 2000, observer });
    t.put(CODE, ...code, HLT);
    t.start(CODE);
    t.engine.cpu.setGpr(RDI, BigInt(FIRST - 8));
    t.engine.cpu.setGpr(RCX, BigInt(PAGES * 512));
    for (let page = 0; page < PAGES; page++) {
      assert.equal(t.engine.run(10_000), RunStop.Halted);
      const fault = t.faults.pop();
      assert.equal(fault?.kind === 'exception' && fault.gva, BigInt(FIRST + page * 4096));
      t.remap(FIRST + page * 4096, DATA & ~0xfff);
      t.engine.mem.set32(L.ACTIVITY, 0);
    }
    assert.equal(t.engine.run(10_000), RunStop.Halted);
    assert.equal(t.engine.cpu.gpr(RCX), 0n);
    assert.equal(t.faults.length, 0);
    // Where it faults a region of the loop begins, too.
    assert.ok(made.length <= 2, `${made.length} regions`);
  });

  it('compares indirect jumps with the targets they were seen to have', () => {
    const code = [
      ...[0x48, 0x89, 0xc8], // mov %rcx, %rax
      ...[0x83, 0xe0, 0x03], // and $3, %eax
      ...[0xff, 0x24, 0xc2], // jmp *(%rdx,%rax,8)
      ...[0x49, 0x83, 0xc0, 1, 0xeb, 18], // add $1, %r8; jmp to the dec
      ...[0x49, 0x83, 0xc1, 3, 0xeb, 12],
      ...[0x49, 0x83, 0xc2, 5, 0xeb, 6],
      ...[0x49, 0x83, 0xc3, 7, 0xeb, 0],
      ...[0x48, 0xff, 0xc9], // dec %rcx
      ...[0x75, 0xda], // jnz
    ];
    const made = inStep(code, 60_000, ({ engine: { cpu, mem } }) => {
      cpu.setGpr(RDX, BigInt(DATA));
      for (let entry = 0; entry < 4; entry++) mem.set64(L.RAM_BASE + DATA + entry * 8, BigInt(CODE + 9 + entry * 6));
    });
    const most = Math.max(...made.flatMap(({ graph }) => graph.nodes.map(({ edges }) => edges.length)));
    assert.equal(most, 4);
  });

  it('knows which registers hold 32 bits, round loops too', () => {
    const code = [
      ...[0x48, 0x89, 0xcd], // mov %rcx, %rbp
      ...[0x31, 0xc0], // xor %eax, %eax
      ...[0xba, 0x05, 0x00, 0x00, 0x00], // mov $5, %edx
      ...[0xbe, 0x09, 0x00, 0x00, 0x00], // mov $9, %esi
      ...[0x89, 0xf7], // loop: mov %esi, %edi
      ...[0x01, 0xd0], // add %edx, %eax
      ...[0x48, 0xff, 0xce], // dec %rsi
      ...[0xc1, 0xc0, 0x07], // rol $7, %eax
      ...[0x89, 0xc3], // mov %eax, %ebx
      ...[0x85, 0xf6], // test %esi, %esi
      ...[0x75, 0xf0], // jnz loop
      ...[0x48, 0x89, 0xe9], // mov %rbp, %rcx
      ...[0x48, 0xff, 0xc9], // dec %rcx
      ...[0x75, 0xd9], // jnz
    ];
    const made = inStep(code, 20_000, () => undefined);
    const loop = BigInt(CODE + 15);
    const masks = made.flatMap(({ graph }) =>
      [...narrowRegisters(graph)]
        .filter(([node]) => node !== graph.entry && node.code.block.gva === Number(loop))
        .map(([, mask]) => mask),
    );
    // EAX and EBX, which the loop writes, once it is not where the region is entered; never RSI, which is counted down in 64 bits.
    assert.ok(
      masks.some((mask) => (mask & 9) === 9),
      masks.join(),
    );
    // The loop, hot while interpreted, becomes another entry of the region that it is part of.
    assert.ok(made.some(({ graph }) => graph.entries.length > 1));
    assert.ok(masks.every((mask) => !(mask & (1 << RSI))));
  });

  it('leaves regions where floating-point operations need the core, and calls it where that is often', () => {
    const code = [
      ...[0x48, 0x89, 0xc8], // mov %rcx, %rax
      ...[0x83, 0xe0, 0x3f], // and $63, %eax
      ...[0xf2, 0x0f, 0x10, 0x04, 0xc3], // movsd (%rbx,%rax,8), %xmm0
      ...[0xf2, 0x0f, 0x58, 0xc1], // addsd %xmm1, %xmm0
      ...[0xf2, 0x0f, 0x59, 0xc2], // mulsd %xmm2, %xmm0
      ...[0x66, 0x0f, 0x58, 0xdc], // addpd %xmm4, %xmm3
      ...[0x66, 0x0f, 0x2e, 0xc1], // ucomisd %xmm1, %xmm0
      ...[0x48, 0x19, 0xd2], // sbb %rdx, %rdx
      ...[0xf2, 0x0f, 0x11, 0x04, 0xc3], // movsd %xmm0, (%rbx,%rax,8)
      ...[0x48, 0xff, 0xc9], // dec %rcx
      ...[0x75, 0xd8], // jnz
    ];
    const vectors = [0, 1, 2, 3, 4].map((register) => L.XMM + register * L.XMM_STRIDE);
    const made = inStep(code, 60_000, ({ engine: { cpu, mem } }) => {
      cpu.setGpr(RBX, BigInt(DATA));
      // Numbers that grow beyond every bound and fall below the least normal one, by turns; some denormals and a NaN.
      for (let entry = 0; entry < 64; entry++)
        mem.set64(
          L.RAM_BASE + DATA + entry * 8,
          entry % 16 === 3 ? BigInt(entry) : 0x3ff0_0000_0000_0001n << BigInt(entry % 2),
        );
      for (const [index, bits] of [0n, 0x10n, 0x3ff8_0000_0000_0001n, 1n, 0x3ff0_0000_0000_0003n].entries())
        mem.set64(vectors[index]!, bits);
      mem.set32(L.MXCSR, 0x1fa0);
    });
    assert.ok(made.length > 1);
  });

  it('keeps loops with two entries in one region', () => {
    const code = [
      ...[0xf6, 0xc1, 0x01], // test $1, %cl
      ...[0x75, 23], // jnz to the dec
      ...[0x89, 0xc8], // mov %ecx, %eax
      ...[0x83, 0xe0, 0x06], // and $6, %eax
      ...[0x74, 0x06], // jz into the middle
      ...[0x49, 0x83, 0xc0, 0x01, 0xeb, 0x00], // loop: add $1, %r8; jmp to the next
      ...[0x49, 0x83, 0xc1, 0x01], // middle: add $1, %r9
      ...[0x41, 0xf6, 0xc1, 0x03], // test $3, %r9b
      ...[0x74, 0xf0], // jz loop
      ...[0x48, 0xff, 0xc9], // dec %rcx
      ...[0x75, 0xdf], // jnz
    ];
    const made = inStep(code, 20_000, () => undefined);
    assert.ok(made.some(({ structure }) => structure.dispatcher !== undefined));
  });
});

import assert from 'node:assert/strict';
import { RunStop } from './engine-api.ts';
import { createTestEngine } from './engine-test-support.ts';
import * as L from './layout.ts';

const HLT = 0xf4;
/** mov ecx, n; 1: add rax, 3; dec ecx; jnz 1b; hlt */
const loop = (count: number): number[] => [
  0xb9,
  count & 0xff,
  (count >> 8) & 0xff,
  (count >> 16) & 0xff,
  0,
  0x48,
  0x83,
  0xc0,
  3,
  0xff,
  0xc9,
  0x75,
  0xf8,
  HLT,
];

describe('engine', () => {
  it('saves the same state however a run is cut: flags that nothing reads leave nothing behind', () => {
    const states = [[1, 1, 1], [3]].map((slices) => {
      const t = createTestEngine();
      // mov eax, 58h; shr eax, 3; and eax, 3; hlt
      t.put(0x1000, 0xb8, 0x58, 0, 0, 0, 0xc1, 0xe8, 3, 0x83, 0xe0, 3, 0xf4);
      t.start(0x1000);
      for (const slice of slices) assert.equal(t.engine.run(slice), RunStop.Budget);
      return t.engine.cpu.save();
    });
    assert.deepEqual(states[1], states[0]);
  });

  it('runs a loop and counts every instruction', () => {
    const t = createTestEngine();
    t.put(0x1000, ...loop(1000));
    t.start(0x1000);
    assert.equal(t.engine.run(1e6), RunStop.Halted);
    assert.equal(t.engine.cpu.gpr(0), 3000n);
    assert.equal(t.engine.retired, 1 + 3 * 1000 + 1);
    assert.equal(t.engine.mem.get64(L.RETIRED), BigInt(t.engine.retired));
    assert.deepEqual(t.faults, []);
  });

  it('retires exactly what it is asked to, in slices of any length, as single steps do', () => {
    const seed = 20261122;
    let state = seed;
    const random = (): number => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32;
    const reference = createTestEngine();
    const sliced = createTestEngine();
    for (const t of [reference, sliced]) {
      t.put(0x1000, ...program());
      t.start(0x1000);
    }
    for (let total = 0, slices = 0; slices < 300; slices++) {
      const length = Math.floor(random() < 0.5 ? random() * 80 : random() * 2000) + 1;
      const stop = sliced.engine.run(length);
      if (stop === RunStop.Halted) break;
      total += length;
      assert.equal(sliced.engine.retired, total, `seed ${seed}`);
      while (reference.engine.retired < total) reference.engine.step();
      assert.equal(sliced.state(), reference.state(), `seed ${seed}, slice ${slices}`);
    }
  });

  it('leaves the same lazy flags wherever the run was cut', () => {
    // SHL EAX, 3; AND EBX, ECX; NOP; JMP to itself: the flags of SHL are dead in the block, and SHL alone has them.
    const states = [[8], [1, 7], [2, 6], [5, 1, 2]].map((slices) => {
      const t = createTestEngine();
      t.put(0x1000, 0xc1, 0xe0, 3, 0x21, 0xcb, 0x90, 0xeb, 0xf8);
      t.start(0x1000);
      t.engine.cpu.setGpr(0, 0x1234n);
      for (const length of slices) assert.equal(t.engine.run(length), RunStop.Budget);
      return [L.CC_OP, L.CC_A, L.CC_B].map((at) => t.engine.mem.get64(at));
    });
    for (const state of states) assert.deepEqual(state, states[0]);
  });

  it('steps over a breakpoint and stops on it', () => {
    const t = createTestEngine();
    t.put(0x1000, ...loop(10));
    t.start(0x1000);
    t.engine.setBreakpoints(new Set([0x1009n]));
    for (let times = 1; times <= 3; times++) {
      assert.equal(t.engine.run(1e6), RunStop.Breakpoint);
      assert.equal(t.engine.cpu.rip, 0x1009n);
      assert.equal(t.engine.cpu.gpr(0), BigInt(3 * times));
      assert.equal(t.engine.step(), RunStop.Budget);
      assert.equal(t.engine.cpu.rip, 0x100bn);
    }
    assert.equal(t.engine.run(2), RunStop.Budget);
    assert.equal(t.engine.run(1e6), RunStop.Breakpoint);
    t.engine.setBreakpoints(new Set());
    assert.equal(t.engine.run(1e6), RunStop.Halted);
    assert.equal(t.engine.cpu.gpr(0), 30n);
  });

  it('faults with the state of the instruction start', () => {
    const t = createTestEngine();
    // mov ebx, 5; add eax, ebx; push [rbx+0x20fffb]; the page of 0x210000 is absent
    t.put(0x1000, 0xbb, 5, 0, 0, 0, 0x01, 0xd8, 0xff, 0xb3, 0xfb, 0xff, 0x20, 0, HLT);
    t.map(0x210000, 0, 0n);
    t.start(0x1000);
    assert.equal(t.engine.run(1e6), RunStop.Halted);
    const [fault] = t.faults;
    assert.ok(fault?.kind === 'exception');
    assert.deepEqual([fault.vector, fault.errorCode, fault.gva], [14, 0, 0x210000n]);
    assert.equal(t.engine.cpu.rip, 0x1007n);
    assert.equal(t.engine.cpu.rsp, 0x80000n);
    assert.equal(t.engine.retired, 2);
    t.map(0x210000, 0x210000, 3n);
    t.start(0x1007);
    t.engine.run(1e6);
    assert.equal(t.engine.cpu.rsp, 0x80000n - 8n);
  });

  it('reports a fault of the second page of an access and of a fetch', () => {
    const t = createTestEngine();
    // mov [0x210ffe], eax
    t.put(0x1000, 0x89, 0x04, 0x25, 0xfe, 0x0f, 0x21, 0, HLT);
    t.map(0x211000, 0, 0n);
    t.start(0x1000);
    t.engine.run(1e6);
    assert.ok(t.faults[0]?.kind === 'exception');
    assert.deepEqual([t.faults[0].vector, t.faults[0].errorCode, t.faults[0].gva], [14, 2, 0x211000n]);

    // mov ebx, 5 begins at the last two bytes of a page whose next is absent
    t.put(0x210ffe, 0xbb, 5, 0, 0, 0, HLT);
    t.start(0x210ffe);
    t.engine.run(1e6);
    assert.ok(t.faults[0]?.kind === 'exception');
    assert.deepEqual([t.faults[0].vector, t.faults[0].gva], [14, 0x211000n]);
    t.map(0x211000, 0x211000, 3n);
    t.start(0x210ffe);
    t.engine.run(1e6);
    assert.equal(t.engine.cpu.gpr(3), 5n);
    assert.equal(t.faults.length, 0);
  });

  it('fetches the second page of a crossing instruction as it is mapped now', () => {
    const t = createTestEngine();
    // jmp 0x210ffe stands on the same page; add eax, imm32 crosses; hlt
    t.put(0x210f00, 0xe9, 0xf9, 0, 0, 0);
    t.put(0x210ffe, 0x05, 1);
    t.put(0x211000, 0, 0, 0, HLT);
    t.put(0x300000, 1, 0, 0, HLT);
    t.engine.cpu.setGpr(0, 0n);
    t.start(0x210f00);
    t.engine.run(1e6);
    assert.equal(t.engine.cpu.gpr(0), 1n);
    t.map(0x211000, 0x300000, 3n);
    t.start(0x210f00);
    t.engine.run(1e6);
    assert.equal(t.engine.cpu.gpr(0), 0x102n);
  });

  it('honours stores into its own code', () => {
    const t = createTestEngine();
    // mov edi, 3; 0: mov ecx, 1000; 1: add rax, 5; dec ecx; jnz 1b; mov byte [add + 3], 7; dec edi; jnz 0b; hlt
    const code = [0xbf, 3, 0, 0, 0, 0xb9, 0xe8, 3, 0, 0, 0x48, 0x83, 0xc0, 5, 0xff, 0xc9, 0x75, 0xf8];
    code.push(0xc6, 0x04, 0x25, 0x0d, 0x10, 0, 0, 7, 0xff, 0xcf, 0x75, 0xe7, HLT);
    t.put(0x1000, ...code);
    t.start(0x1000);
    assert.equal(t.engine.run(1e6), RunStop.Halted);
    assert.deepEqual(t.faults, []);
    assert.equal(t.engine.cpu.gpr(0), 19000n);
    assert.equal(t.engine.retired, 1 + 3 * (1 + 3000 + 3) + 1);
  });

  it('a store to the next instruction of the same block takes effect', () => {
    const t = createTestEngine();
    // mov byte [0x1009], 9; mov al, 1; hlt
    t.put(0x1000, 0xc6, 0x04, 0x25, 0x09, 0x10, 0, 0, 9, 0xb0, 1, HLT);
    t.start(0x1000);
    t.engine.run(1e6);
    assert.equal(t.engine.cpu.gpr(0) & 0xffn, 9n);
    assert.equal(t.engine.retired, 3);
  });

  it('bytes that are no instruction raise #UD at their own address', () => {
    const t = createTestEngine();
    t.put(0x1000, 0x90, 0x0f, 0x04);
    t.start(0x1000);
    t.engine.run(1e6);
    assert.ok(t.faults[0]?.kind === 'exception');
    assert.equal(t.faults[0].vector, 6);
    assert.match(t.faults[0].because!, /0f 04/);
    assert.equal(t.engine.cpu.rip, 0x1001n);
    assert.equal(t.engine.retired, 1);
  });

  it('calls, returns and jumps across pages', () => {
    const t = createTestEngine();
    // mov ecx, 200; 0: call 0x5000; dec ecx; jnz 0b; hlt
    t.put(0x1000, 0xb9, 200, 0, 0, 0, 0xe8, 0xf6, 0x3f, 0, 0, 0xff, 0xc9, 0x75, 0xf7, HLT);
    // inc rax; ret
    t.put(0x5000, 0x48, 0xff, 0xc0, 0xc3);
    t.start(0x1000);
    assert.equal(t.engine.run(1e6), RunStop.Halted);
    assert.equal(t.engine.cpu.gpr(0), 200n);
    assert.equal(t.engine.cpu.rsp, 0x80000n);
    assert.equal(t.engine.retired, 1 + 200 * 5 + 1);
  });

  it('sees code written from outside', () => {
    const t = createTestEngine();
    t.put(0x1000, ...loop(3));
    t.start(0x1000);
    t.engine.run(1e6);
    t.put(0x1008, 7);
    t.start(0x1000);
    t.engine.cpu.setGpr(0, 0n);
    t.engine.run(1e6);
    assert.equal(t.engine.cpu.gpr(0), 21n);
  });

  it('runs what is mapped after a flush, though jumps were cached', () => {
    const t = createTestEngine();
    // call 0x5000; hlt
    t.put(0x1000, 0xe8, 0xfb, 0x3f, 0, 0, HLT);
    t.put(0x5000, 0xb8, 1, 0, 0, 0, 0xc3);
    t.put(0x6000, 0xb8, 2, 0, 0, 0, 0xc3);
    for (const [frame, result] of [
      [0x5000, 1n],
      [0x6000, 2n],
      [0x5000, 1n],
    ] as const) {
      t.map(0x5000, frame, 3n);
      for (let times = 0; times < 3; times++) {
        t.start(0x1000);
        // Enough budget for the block cache to be used rather than single steps.
        assert.equal(t.engine.run(1000), RunStop.Halted);
        assert.equal(t.engine.cpu.gpr(0), result);
      }
    }
  });

  it('runs what is mapped after INVLPG, though the translation came by a load', () => {
    const t = createTestEngine();
    // mov eax, [0x4000]; 0: mov ecx, 0x4000; call rcx; jmp 0b
    t.put(0x1000, 0x8b, 0x04, 0x25, 0, 0x40, 0, 0, 0xb9, 0, 0x40, 0, 0, 0xff, 0xd1, 0xeb, 0xf7);
    // add edx, n; ret
    t.put(0x4000, 0x83, 0xc2, 1, 0xc3);
    t.put(0x5000, 0x83, 0xc2, 2, 0xc3);
    t.start(0x1000);
    t.engine.run(1 + 5 * 100);
    t.remap(0x4000, 0x5000);
    t.engine.run(5 * 100);
    assert.equal(t.engine.cpu.gpr(2), 300n);
  });

  it('hands system instructions over with the state at their start, and counts them', () => {
    const t = createTestEngine();
    // mov eax, 1; cpuid; mov eax, 2; hlt
    t.put(0x1000, 0xb8, 1, 0, 0, 0, 0x0f, 0xa2, 0xb8, 2, 0, 0, 0, HLT);
    const { system } = t.engine.hooks;
    t.engine.hooks.system = (insn) => {
      if (insn.op === 'cpuid') {
        assert.deepEqual([t.engine.cpu.rip, t.engine.cpu.gpr(0), t.engine.retired], [0x1005n, 1n, 2]);
        t.engine.requestStop();
      }
      return system(insn);
    };
    t.start(0x1000);
    assert.equal(t.engine.run(1000), RunStop.Requested);
    assert.equal(t.engine.cpu.rip, 0x1007n);
    assert.equal(t.engine.run(1000), RunStop.Halted);
    assert.equal(t.engine.retired, 4);
  });

  it('a held system instruction is executed again', () => {
    const t = createTestEngine();
    t.put(0x1000, 0x0f, 0xa2, HLT);
    const { system } = t.engine.hooks;
    let held = 0;
    t.engine.hooks.system = (insn) => {
      if (insn.op !== 'cpuid' || held++) return system(insn);
      t.engine.requestStop();
      return 'held';
    };
    t.start(0x1000);
    assert.equal(t.engine.run(1000), RunStop.Requested);
    assert.deepEqual([t.engine.cpu.rip, t.engine.retired], [0x1000n, 0]);
    assert.equal(t.engine.run(1000), RunStop.Halted);
    assert.deepEqual([held, t.engine.retired], [2, 2]);
  });

  it('refuses floating point as CR0 and CR4 say', () => {
    const t = createTestEngine();
    const { mem } = t.engine;
    // nop; movaps xmm0, xmm1; fld1; hlt
    t.put(0x1000, 0x90, 0x0f, 0x28, 0xc1, 0xd9, 0xe8, HLT);
    const vectors = (cr0: bigint, cr4: bigint, from: number): number[] => {
      mem.set64(L.CR0, 0x8001_0031n | cr0);
      mem.set64(L.CR4, 0x20n | cr4);
      t.engine.contextChanged();
      t.start(from);
      t.engine.run(1000);
      return t.faults.map((fault) => (fault.kind === 'exception' ? fault.vector : -1));
    };
    assert.deepEqual(vectors(0n, 0x200n, 0x1000), []);
    assert.deepEqual(vectors(8n, 0x200n, 0x1000), [7]);
    assert.equal(t.engine.cpu.rip, 0x1001n);
    assert.deepEqual(vectors(0n, 0n, 0x1000), [6]);
    assert.deepEqual(vectors(4n, 0x200n, 0x1000), [6]);
    assert.deepEqual(vectors(4n, 0x200n, 0x1004), [7]);
    assert.deepEqual(vectors(0n, 0n, 0x1004), []);
  });

  it('gives an interrupt between two instructions, after the shadow of STI', () => {
    const t = createTestEngine();
    t.put(0x1000, 0x90, 0x90, 0x90, HLT);
    t.start(0x1000);
    const { mem } = t.engine;
    mem.set32(L.INTERRUPTIBILITY, 1);
    let pending = true;
    t.engine.hooks.pendingInterrupt = () => {
      if (!pending || mem.get32(L.INTERRUPTIBILITY)) return undefined;
      pending = false;
      return { kind: 'exception', vector: 0x20 };
    };
    t.engine.run(1000);
    assert.equal(t.faults.length, 1);
    assert.equal(t.engine.cpu.rip, 0x1001n);
  });

  it('is rid of all records when their place is full', () => {
    const t = createTestEngine();
    t.put(0x1000, ...loop(100));
    t.start(0x1000);
    t.engine.run(100);
    const { generation } = t.engine.blocks;
    t.engine.reset();
    assert.equal(t.engine.blocks.generation, generation + 1);
    assert.equal(t.engine.run(1e6), RunStop.Halted);
    assert.equal(t.engine.cpu.gpr(0), 300n);
  });

  it('decodes for a debugger without touching anything', () => {
    const t = createTestEngine();
    t.put(0x210ffe, 0xbb, 5, 0, 0, 0);
    assert.equal(t.engine.decodeAt(0x210ffen)?.length, 5);
    t.map(0x211000, 0, 0n);
    assert.equal(t.engine.decodeAt(0x210ffen), undefined);
    assert.equal(t.engine.mem.get32(L.FAULT_KIND), 0);
  });

  it('traps after each instruction while TF is set', () => {
    const t = createTestEngine();
    t.put(0x1000, ...loop(5));
    t.start(0x1000);
    t.engine.mem.set32(L.SYSTEM_FLAGS, 0x100);
    t.engine.run(1000);
    assert.ok(t.faults[0]?.kind === 'exception');
    assert.equal(t.faults[0].vector, 1);
    assert.equal(t.engine.cpu.rip, 0x1005n);
    assert.equal(t.faults[0].debug, 0x4000, 'BS');
  });
});

/** Nested loops with memory, calls, conditions and flags. */
function program(): number[] {
  return [
    ...[0xbf, 0x40, 0, 0, 0], // mov edi, 64
    ...[0xbe, 0, 0, 0x20, 0], // 0: mov esi, 0x200000
    ...[0xb9, 50, 0, 0, 0], // mov ecx, 50
    ...[0x48, 0x01, 0x06], // 1: add [rsi], rax
    ...[0x48, 0x03, 0x46, 0x08], // add rax, [rsi+8]
    ...[0x48, 0x83, 0xc6, 0x08], // add rsi, 8
    ...[0x48, 0xd1, 0xc3], // rol rbx, 1
    ...[0x48, 0x31, 0xc3], // xor rbx, rax
    ...[0x48, 0x83, 0xd2, 0x01], // adc rdx, 1
    ...[0x39, 0xd8], // cmp eax, ebx
    ...[0x76, 0x03], // jbe +3
    ...[0x48, 0xff, 0xc0], // inc rax
    ...[0x50, 0x5d], // push rax; pop rbp
    ...[0xff, 0xc9], // dec ecx
    ...[0x75, 0xde], // jnz 1b
    ...[0xff, 0xcf], // dec edi
    ...[0x75, 0xd0], // jnz 0b
    HLT,
  ];
}

import assert from 'node:assert/strict';
import * as L from '../layout.ts';
import { createTestMachine } from './system-test-support.ts';
import type { TestMachine } from './system-test-support.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR4_LA57 } = BITS_64;

const PML5 = 0xe00000;
const PML4 = 0xf00000;
const TABLES = 0xe10000;

/** Puts 5-level tables above those of the machine, which hold the low half. */
function fiveLevels({ context }: TestMachine): void {
  const { mem, physical, engine } = context;
  physical.write64(PML5, BigInt(PML4) | 7n);
  mem.set64(L.CR3, BigInt(PML5));
  mem.set64(L.CR4, mem.get64(L.CR4) | CR4_LA57);
  engine.contextChanged();
}

/** Maps a 4 KB page of the five levels; tables are taken from TABLES on. */
function map({ context }: TestMachine, gva: bigint, hpa: number, next: { table: number }): void {
  const { physical } = context;
  let table = PML5;
  for (let level = 5; level > 1; level--) {
    const slot = table + Number((gva >> BigInt(9 * level + 3)) & 511n) * 8;
    if (physical.read64(slot) === 0n) {
      physical.write64(slot, BigInt(next.table) | 7n);
      next.table += 0x1000;
    }
    table = Number(physical.read64(slot) & 0xf_ffff_f000n);
  }
  physical.write64(table + Number((gva >> 12n) & 511n) * 8, BigInt(hpa) | 7n);
}

describe('5-level paging', () => {
  const places = [
    0x0000_8000_0000_0000n,
    0x000f_0000_0000_0000n,
    0x0012_3456_789a_b000n,
    0x00ff_ffff_ffff_f000n,
    0xff00_0000_0000_0000n,
    0xffee_dcba_9876_5000n,
    0xffff_7fff_ffff_f000n,
  ];
  for (const base of places) {
    it(`runs code at ${base.toString(16)}h that loops, calls and reads what is around it`, () => {
      const machine = createTestMachine(`
        mov rbx, 0x${base.toString(16)}
        call rbx
        mov rdx, rax
        hlt
      .balign 4096
      far:
        mov ecx, 5000
        xor eax, eax
      again:
        call one
        dec ecx
        jnz again
        lea rsi, [rip + value]
        mov rdi, [rsi]
        ret
      one:
        add rax, 3
        ret
      value: .quad 0x1122334455667788
      `);
      fiveLevels(machine);
      map(machine, base, machine.symbols.get('far')!, { table: TABLES });
      machine.run();
      const { cpu } = machine.context;
      assert.equal(machine.report(), undefined);
      assert.equal(cpu.gpr(2), 15000n);
      assert.equal(cpu.gpr(7), 0x1122_3344_5566_7788n);
      const offset = BigInt(machine.symbols.get('value')! - machine.symbols.get('far')!);
      assert.equal(cpu.gpr(6), base + offset);
    });
  }

  it('runs on over a page and over the end of a region of 128 TB', () => {
    const machine = createTestMachine(`
      mov rbx, 0x00407fffffffffe0
      jmp rbx
    .balign 4096
    first:
      .fill 0xfe0, 1, 0x90
      .fill 30, 1, 0x90
      .byte 0x48, 0xb8
      .quad 0x1234567890
      mov rcx, [rip + 2f]
      lea rdx, [rip]
      hlt
    2: .quad 77
    `);
    fiveLevels(machine);
    const first = machine.symbols.get('first')!;
    const next = { table: TABLES };
    map(machine, 0x0040_7fff_ffff_f000n, first, next);
    map(machine, 0x0040_8000_0000_0000n, first + 0x1000, next);
    machine.run();
    const { cpu } = machine.context;
    assert.equal(cpu.gpr(0), 0x12_3456_7890n);
    assert.equal(cpu.gpr(1), 77n);
    assert.equal(cpu.gpr(2) >> 12n, 0x0040_8000_0000_0000n >> 12n);
  });

  it('makes canonical what 57 bits reach, and #GP of the rest', () => {
    const cases: readonly (readonly [bigint, number])[] = [
      [0x0100_0000_0000_0000n, 13],
      [0xfeff_ffff_ffff_ffffn, 13],
      [0x0000_8000_0000_0000n, 14],
      [0x00ff_ffff_ffff_fff0n, 14],
    ];
    for (const [address, vector] of cases) {
      for (const access of ['mov rax, [rbx]', 'jmp rbx']) {
        const machine = createTestMachine(`mov rbx, 0x${address.toString(16)}\n ${access}\n hlt`);
        fiveLevels(machine);
        machine.run();
        assert.equal(machine.report()?.vector, vector, `${access} ${address.toString(16)}`);
      }
    }
  });

  it('cannot be switched within IA-32e mode', () => {
    const machine = createTestMachine('mov rax, cr4\n or rax, 0x1000\n mov cr4, rax\n hlt');
    machine.run();
    assert.equal(machine.report()?.vector, 13);
    assert.equal(machine.report()?.errorCode, 0);
  });

  it('lets registers hold 57-bit addresses whatever CR4.LA57 is', () => {
    const machine = createTestMachine(`
      mov rax, 0x00f0000000000000
      wrgsbase rax
      mov rdx, rax\n shr rdx, 32\n mov ecx, 0xc0000082\n wrmsr
      rdmsr
      hlt`);
    machine.run();
    assert.equal(machine.report(), undefined);
    assert.equal(machine.context.mem.get64(L.MSR_LSTAR), 0x00f0_0000_0000_0000n);
    assert.equal(machine.context.mem.get64(L.GS + L.SEG_BASE), 0x00f0_0000_0000_0000n);
  });
});

describe('protection keys', () => {
  const PAGE = 0x40_0000;
  /** Gives the 2 MB page at PAGE a key, and runs `source` with CR4.PKE set. */
  function run(source: string, key: bigint): TestMachine {
    const machine = createTestMachine(`
      mov rax, cr4\n or rax, 0x400000\n mov cr4, rax
      ${source}
      hlt`);
    const { physical } = machine.context;
    const entry = PML4 + 0x2000 + (PAGE >> 21) * 8;
    physical.write64(entry, physical.read64(entry) | (key << 59n));
    machine.run();
    return machine;
  }
  const pkru = (value: string): string => `mov eax, ${value}\n xor ecx, ecx\n xor edx, edx\n wrpkru\n`;

  it('are refused while CR4.PKE is 0, and show in CPUID with it', () => {
    const machine = createTestMachine('xor ecx, ecx\n rdpkru\n hlt');
    machine.run();
    assert.equal(machine.report()?.vector, 6);
    const cpuid = run('mov eax, 7\n xor ecx, ecx\n cpuid\n mov r8, rcx', 0n);
    assert.equal(cpuid.context.cpu.gpr(8) & 0x18n, 0x18n, 'PKU OSPKE');
  });

  it('want ECX and EDX 0', () => {
    assert.equal(run('mov ecx, 1\n rdpkru', 0n).report()?.vector, 13);
    assert.equal(run('xor ecx, ecx\n mov edx, 1\n wrpkru', 0n).report()?.vector, 13);
    assert.equal(run(`${pkru('0x55555550')} rdpkru\n mov r8, rax`, 0n).context.cpu.gpr(8), 0x5555_5550n);
  });

  it('deny access or writes at once, and allow them at once again', () => {
    const touch = `mov rbx, ${PAGE}\n mov rax, [rbx]\n mov [rbx], rax\n`;
    const ok = run(`${touch}${pkru('0')}${touch}`, 5n);
    assert.equal(ok.report(), undefined);
    const noAccess = run(`${touch}${pkru('0x400')} mov rbx, ${PAGE}\n here: mov rax, [rbx]`, 5n).report();
    assert.deepEqual([noAccess?.vector, noAccess?.errorCode], [14, 0x21]);
    const noWrite = run(`${touch}${pkru('0x800')} mov rbx, ${PAGE}\n mov rax, [rbx]\n mov [rbx], rax`, 5n).report();
    assert.deepEqual([noWrite?.vector, noWrite?.errorCode], [14, 0x23]);
    const again = run(`${touch}${pkru('0x800')}${pkru('0')}${touch} mov r9d, 1`, 5n);
    assert.equal(again.report(), undefined);
    assert.equal(again.context.cpu.gpr(9), 1n);
  });

  it('let the supervisor write without CR0.WP, and never stop a fetch', () => {
    const source = `mov rax, cr0\n and rax, ~0x10000\n mov cr0, rax\n ${pkru('0x800')} mov rbx, ${PAGE}\n mov [rbx], rax`;
    assert.equal(run(source, 5n).report(), undefined);
    const fetch = `mov rbx, ${PAGE}\n mov byte ptr [rbx], 0xc3\n ${pkru('0xc00')} mov rbx, ${PAGE}\n call rbx`;
    assert.equal(run(fetch, 5n).report(), undefined);
  });
});

import assert from 'node:assert/strict';
import { table } from '../table/index.ts';
import * as L from '../layout.ts';
import { SYSTEM_OPS } from './index.ts';
import { DEFAULT_MODEL } from './models.ts';
import { createTestMachine } from './system-test-support.ts';

function fault(source: string): readonly [vector: number, errorCode: number] | undefined {
  const machine = createTestMachine(`${source}\n hlt`);
  machine.run();
  const report = machine.report();
  return report && [report.vector, report.errorCode];
}
function run(source: string): (register: number) => bigint {
  const machine = createTestMachine(`${source}\n hlt`);
  machine.run();
  assert.equal(machine.report(), undefined);
  return (register) => machine.context.cpu.gpr(register);
}
const GP = [13, 0] as const;

describe('control registers, MSRs and identification', () => {
  it('has a handler for every system row of the table that this CPU has', () => {
    const absent = new Set(['rsm', 'vmfunc']);
    const missing = table
      .filter((row) => row.system && !SYSTEM_OPS.has(row.op) && !absent.has(row.op))
      .map(({ op }) => op);
    assert.deepEqual(missing, []);
    // PAUSE comes here from VMX non-root operation only.
    const known = new Set(['pause', ...table.filter((row) => row.system).map(({ op }) => op)]);
    assert.deepEqual(
      [...SYSTEM_OPS].filter((op) => !known.has(op)),
      [],
    );
  });

  const refused: readonly (readonly [string, string])[] = [
    ['CR0 with bits above 31', 'mov rax, cr0\n bts rax, 32\n mov cr0, rax'],
    ['CR0.NW without CD', 'mov rax, cr0\n bts rax, 29\n mov cr0, rax'],
    ['paging off in 64-bit mode', 'mov rax, cr0\n btr rax, 31\n mov cr0, rax'],
    ['CR3 above the physical-address width', 'mov rax, 1\n shl rax, 40\n mov cr3, rax'],
    [
      'CR3 bit 63 without PCIDE',
      'mov rax, cr4\n btr rax, 17\n mov cr4, rax\n mov rax, cr3\n bts rax, 63\n mov cr3, rax',
    ],
    ['CR4.PAE cleared', 'mov rax, cr4\n btr rax, 5\n mov cr4, rax'],
    ['a CR4 bit that does not exist', 'mov rax, cr4\n bts rax, 19\n mov cr4, rax'],
    [
      'CR4.PCIDE set with a PCID in CR3',
      'mov rax, cr4\n btr rax, 17\n mov cr4, rax\n mov rbx, cr3\n or rbx, 1\n mov cr3, rbx\n bts rax, 17\n mov cr4, rax',
    ],
    ['CR8 above 15', 'mov eax, 16\n mov cr8, rax'],
    ['DR7 with bits above 31', 'mov rax, 1\n shl rax, 40\n mov dr7, rax'],
    ['an MSR that does not exist', 'mov ecx, 0x12345\n rdmsr'],
    ['a read-only MSR', 'mov ecx, 0x480\n wrmsr'],
    ['LSTAR that is not canonical', 'mov ecx, 0xc0000082\n mov edx, 0x80000000\n xor eax, eax\n wrmsr'],
    ['EFER with reserved bits', 'mov ecx, 0xc0000080\n rdmsr\n or eax, 2\n wrmsr'],
    ['EFER.LME changed under paging', 'mov ecx, 0xc0000080\n rdmsr\n and eax, 0xfffffeff\n wrmsr'],
    ['a reserved PAT type', 'mov ecx, 0x277\n mov eax, 2\n xor edx, edx\n wrmsr'],
    ['an INVPCID type above 3', 'mov eax, 4\n invpcid rax, [rsp]'],
    ['RDPMC', 'xor ecx, ecx\n rdpmc'],
    ['FEATURE_CONTROL while locked', 'mov ecx, 0x3a\n rdmsr\n wrmsr'],
  ];
  for (const [name, source] of refused) it(`refuses ${name}`, () => assert.deepEqual(fault(source), GP));

  const undefinedOnes: readonly (readonly [string, string])[] = [
    ['CR1', '.byte 0x0f, 0x20, 0xc8'],
    ['DR4 with CR4.DE', 'mov rax, cr4\n or rax, 8\n mov cr4, rax\n mov rax, dr4'],
    ['RDFSBASE without CR4.FSGSBASE', 'mov rax, cr4\n btr rax, 16\n mov cr4, rax\n rdfsbase rax'],
    ['SYSCALL without EFER.SCE', 'mov ecx, 0xc0000080\n rdmsr\n and eax, 0xfffffffe\n wrmsr\n syscall'],
    ['VMCALL outside VMX operation', 'vmcall'],
    ['VMREAD outside VMX operation', 'vmread rax, rbx'],
    ['MOV to CS', '.byte 0x8e, 0xc8'],
  ];
  for (const [name, source] of undefinedOnes) it(`has no ${name}`, () => assert.deepEqual(fault(source), [6, 0]));

  it('reads back what was written to control registers and MSRs', () => {
    const value = run(`
      mov rax, cr3\n bts rax, 63\n mov cr3, rax\n mov r8, cr3
      mov eax, 5\n mov cr8, rax\n mov r9, cr8
      mov ecx, 0xc0000103\n mov eax, 7\n xor edx, edx\n wrmsr\n rdtscp\n mov r10, rcx
      mov rax, -1\n mov dr0, rax\n mov r11, dr0\n mov eax, 0xffffffff\n mov dr6, rax\n mov r12, dr6
      mov ecx, 0xc0000100\n mov edx, 0x7fff\n mov eax, 0x1000\n wrmsr\n rdfsbase r13
      smsw r14d`);
    assert.deepEqual([8, 9, 10, 11, 12, 13, 14].map(value), [
      0xf00000n,
      5n,
      7n,
      (1n << 64n) - 1n,
      0xffffeff0n | 0xfn,
      0x7fff00001000n,
      0x80050033n,
    ]);
  });

  it('moves the TSC by what is written to it', () => {
    const value = run(
      'mov ecx, 0x10\n xor edx, edx\n mov eax, 0x1000000\n wrmsr\n rdtsc\n mov ebx, eax\n mov ecx, 0x3b\n rdmsr',
    );
    assert.ok(value(3) >= 0x1000000n && value(3) < 0x1000100n);
    assert.ok(value(0) > 0n);
  });

  it('tells its vendor, its width and no feature it lacks', () => {
    const value = run(`
      xor eax, eax\n cpuid\n mov r8, rbx
      mov eax, 1\n cpuid\n mov r9, rcx\n mov r10, rdx
      mov eax, 7\n xor ecx, ecx\n cpuid\n mov r11, rbx
      mov eax, 0x80000001\n cpuid\n mov r12, rdx
      mov eax, 0x80000008\n cpuid\n mov r13, rax
      mov eax, 0x40000000\n mov ecx, 1\n cpuid\n mov r14, rax\n mov eax, 0xd\n mov ecx, 1\n cpuid\n mov r15, rax`);
    assert.equal(value(8), 0x756e6547n, 'Genu');
    assert.equal(value(9) & 0x1c000000n, 0x1c000000n, 'XSAVE, OSXSAVE, AVX');
    assert.equal(value(10) & 0x07808000n, 0x07808000n, 'CMOV MMX FXSR SSE SSE2');
    assert.equal(value(11) & 0x0001_0020n, 0x20n, 'AVX2, no AVX-512');
    assert.equal(value(12) & 0x2c100800n, 0x2c100800n, 'SYSCALL NX 1GB RDTSCP LM');
    assert.equal(value(13), 0x3924n);
    assert.equal(value(14), value(15), 'a leaf that does not exist answers as the highest basic one');
    assert.ok(DEFAULT_MODEL.features.has('vmx'));
  });

  it('holds interrupts for one instruction after STI and MOV SS only', () => {
    const machine = createTestMachine('sti\n nop\n mov eax, 0x18\n mov ss, eax\n hlt');
    const { engine, mem } = machine.context;
    const seen: number[] = [];
    for (let i = 0; i < 4; i++) {
      engine.step();
      seen.push(mem.get32(L.INTERRUPTIBILITY));
    }
    assert.deepEqual(seen, [1, 0, 0, 2]);
  });
});

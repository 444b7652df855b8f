/** The XSAVE instructions' faults, XCR0 and CPUID's leaf Dh. What they save and restore is compared with the host CPU in test/linux/xsave.c. */
import assert from 'node:assert/strict';
import * as L from '../layout.ts';
import { DEFAULT_MODEL } from './models.ts';
import type { CpuModel } from './models.ts';
import { createTestMachine } from './system-test-support.ts';

const AREA = 0x40000;
const UNMAPPED_PAGE = 0x7fffc0;
const UD = [6, 0] as const;
const NM = [7, 0] as const;
const GP = [13, 0] as const;

const withAvx: CpuModel = { ...DEFAULT_MODEL, features: new Set([...DEFAULT_MODEL.features, 'avx']) };
const withoutXsavec: CpuModel = {
  ...DEFAULT_MODEL,
  features: new Set([...DEFAULT_MODEL.features].filter((name) => !['xsavec', 'xsaves', 'xgetbv1'].includes(name))),
};

function fault(source: string, model = withAvx): readonly [vector: number, errorCode: number] | undefined {
  const machine = createTestMachine(
    `mov rdi, ${AREA}\n mov eax, 7\n xor edx, edx\n xor ecx, ecx\n ${source}\n hlt`,
    model,
  );
  machine.run();
  const report = machine.report();
  return report && [report.vector, report.errorCode];
}
function registers(source: string, model = withAvx): (register: number) => bigint {
  const machine = createTestMachine(`mov rdi, ${AREA}\n ${source}\n hlt`, model);
  machine.run();
  assert.equal(machine.report(), undefined);
  return (register) => machine.context.cpu.gpr(register);
}

const OSXSAVE_OFF = 'mov rbx, cr4\n btr rbx, 18\n mov cr4, rbx';
const TS_ON = 'mov rbx, cr0\n or rbx, 8\n mov cr0, rbx';
const header = (at: number, value: bigint): string => `mov rbx, ${value}\n mov [rdi + ${512 + at}], rbx`;

describe('XSAVE', () => {
  for (const op of ['xsave', 'xsaveopt', 'xsavec', 'xsaves', 'xrstor', 'xrstors']) {
    it(`${op} needs CR4.OSXSAVE, CR0.TS = 0 and an aligned area, in this order`, () => {
      assert.deepEqual(fault(`${OSXSAVE_OFF}\n ${TS_ON}\n ${op} [rdi + 8]`), UD);
      assert.deepEqual(fault(`${TS_ON}\n ${op} [rdi + 8]`), NM);
      assert.deepEqual(fault(`${op} [rdi + 32]`), GP);
    });
  }
  it('does not take a LOCK prefix or a register', () => {
    assert.deepEqual(fault('.byte 0xf0, 0x0f, 0xae, 0x27'), UD);
    assert.deepEqual(fault('.byte 0x0f, 0xc7, 0xe7'), UD);
  });

  const headers: readonly (readonly [string, string])[] = [
    ['XSTATE_BV with a component that XCR0 has not', header(0, 8n)],
    ['XCOMP_BV in the standard format', header(8, 1n)],
    ['bytes 23:16 of the header in the standard format', header(16, 1n)],
    ['XCOMP_BV with a component that XCR0 has not', header(8, (1n << 63n) | 8n)],
    ['XSTATE_BV with a component that XCOMP_BV has not', `${header(0, 2n)}\n ${header(8, (1n << 63n) | 5n)}`],
    ['bytes 63:24 of the header in the compacted format', `${header(8, (1n << 63n) | 7n)}\n ${header(56, 1n)}`],
    ['reserved bits of MXCSR', 'mov dword ptr [rdi + 24], 0x10000'],
  ];
  for (const [name, source] of headers)
    it(`XRSTOR refuses ${name}`, () => assert.deepEqual(fault(`${source}\n xrstor [rdi]`), GP));

  it('XRSTOR lets bytes 63:24 be anything in the standard format', () => {
    assert.equal(fault(`${header(24, 1n)}\n xrstor [rdi]`), undefined);
  });
  it('XRSTORS refuses the standard format', () => assert.deepEqual(fault('xrstors [rdi]'), GP));
  it('XRSTOR refuses the compacted format on a processor without XSAVEC', () => {
    assert.deepEqual(fault(`${header(8, (1n << 63n) | 3n)}\n xrstor [rdi]`, withoutXsavec), GP);
    assert.deepEqual(fault('xsavec [rdi]', withoutXsavec), UD);
  });
  it('does not exist on a processor without it', () => {
    const model = {
      ...DEFAULT_MODEL,
      features: new Set([...DEFAULT_MODEL.features].filter((name) => !/^x/.test(name))),
    };
    assert.deepEqual(fault('xsave [rdi]', model), UD);
    assert.deepEqual(fault('xgetbv', model), UD);
    assert.deepEqual(fault('mov rbx, cr4\n bts rbx, 18\n mov cr4, rbx', model), GP);
  });

  it('writes nothing when its second page is missing', () => {
    const machine = createTestMachine(`mov rdi, ${UNMAPPED_PAGE}\n mov eax, 3\n xor edx, edx\n xsave [rdi]\n hlt`);
    machine.run();
    assert.equal(machine.report()?.vector, 14);
    assert.equal(machine.context.cpu.cr2 >> 12n, 0x800n);
    assert.ok(machine.context.physical.slice(UNMAPPED_PAGE, 64).every((byte) => byte === 0));
  });

  it('XSAVES and XRSTORS are for ring 0, and like XSAVEC otherwise', () => {
    const machine = createTestMachine(
      `mov rdi, ${AREA}\n mov eax, 7\n xor edx, edx\n pcmpeqd xmm3, xmm3\n xsaves [rdi]\n pxor xmm3, xmm3\n xrstors [rdi]\n hlt`,
      withAvx,
    );
    machine.run();
    assert.equal(machine.report(), undefined);
    const { mem, physical } = machine.context;
    assert.equal(mem.get64(L.XMM + 3 * L.XMM_STRIDE + 8), 0xffff_ffff_ffff_ffffn);
    assert.equal(physical.read64(AREA + 512), 2n, 'XSTATE_BV');
    assert.equal(physical.read64(AREA + 520), (1n << 63n) | 7n, 'XCOMP_BV');
  });
  it('has PKRU as component 9, in the standard and the compacted format', () => {
    const machine = createTestMachine(
      `mov rdi, ${AREA}\n mov rbx, cr4\n bts rbx, 22\n mov cr4, rbx
      mov eax, 0x207\n xor edx, edx\n xor ecx, ecx\n xsetbv
      mov eax, 0x55555554\n wrpkru
      mov eax, 0x200\n xsave [rdi]\n mov eax, 0x204\n xsavec [rdi + 4096]
      xor eax, eax\n wrpkru
      mov eax, 0x200\n xrstor [rdi + 4096]\n rdpkru\n mov r8, rax
      mov eax, 0x200\n mov qword ptr [rdi + 512], 0\n xrstor [rdi]\n rdpkru\n mov r9, rax\n hlt`,
      withAvx,
    );
    machine.run();
    assert.equal(machine.report(), undefined);
    const { physical, cpu } = machine.context;
    assert.equal(physical.read64(AREA + 2688), 0x5555_5554n);
    assert.equal(physical.read64(AREA + 4096 + 512), 0x200n, 'XSTATE_BV: AVX state is in its initial configuration');
    assert.equal(physical.read64(AREA + 4096 + 576 + 256), 0x5555_5554n);
    assert.equal(cpu.gpr(8), 0x5555_5554n, 'restored');
    assert.equal(cpu.gpr(9), 0n, 'initialised');
  });
  it('IA32_XSS is there and has no bits', () => {
    assert.equal(fault('mov ecx, 0xda0\n rdmsr\n wrmsr'), undefined);
    assert.deepEqual(fault('mov ecx, 0xda0\n mov eax, 0x100\n wrmsr'), GP);
    assert.deepEqual(fault('mov ecx, 0xda0\n rdmsr', withoutXsavec), GP);
  });
});

describe('XCR0', () => {
  const refused: readonly (readonly [string, string])[] = [
    ['XCR1', 'mov ecx, 1\n xsetbv'],
    ['XCR0 without x87', 'mov eax, 6\n xsetbv'],
    ['AVX without SSE', 'mov eax, 5\n xsetbv'],
    ['a component that does not exist', 'mov eax, 0xf\n xsetbv'],
    ['a component above 31', 'mov eax, 7\n mov edx, 1\n xsetbv'],
    ['XGETBV of XCR2', 'mov ecx, 2\n xgetbv'],
  ];
  for (const [name, source] of refused) it(`refuses ${name}`, () => assert.deepEqual(fault(source), GP));
  it('is not there without CR4.OSXSAVE', () => {
    assert.deepEqual(fault(`${OSXSAVE_OFF}\n xgetbv`), UD);
    assert.deepEqual(fault(`${OSXSAVE_OFF}\n xsetbv`), UD);
  });
  it('XGETBV of XCR1 needs its feature', () => {
    assert.deepEqual(fault('mov ecx, 1\n xgetbv', withoutXsavec), GP);
  });
  it('is what CPUID gives sizes for', () => {
    const value = registers(`
      mov eax, 1\n xor edx, edx\n xor ecx, ecx\n xsetbv\n xgetbv\n mov r8, rax
      mov eax, 0xd\n xor ecx, ecx\n cpuid\n mov r9, rax\n mov r10, rbx\n mov r11, rcx
      mov eax, 7\n xor edx, edx\n xor ecx, ecx\n xsetbv
      mov eax, 0xd\n xor ecx, ecx\n cpuid\n mov r12, rbx
      mov eax, 0xd\n mov ecx, 1\n cpuid\n mov r13, rax\n mov r14, rbx
      mov eax, 0xd\n mov ecx, 2\n cpuid\n mov r15, rbx\n shl r15, 16\n or r15, rax`);
    assert.equal(value(8), 1n);
    assert.equal(value(9), 0x207n, 'components there are');
    assert.equal(value(10), 576n, 'bytes for x87');
    assert.equal(value(11), 2696n, 'bytes for all');
    assert.equal(value(12), 832n, 'bytes for x87, SSE, AVX');
    assert.equal(value(13), 0xfn, 'XSAVEOPT, XSAVEC, XGETBV1, XSAVES');
    assert.equal(value(14), 832n, 'bytes of the compacted format');
    assert.equal(value(15), (576n << 16n) | 256n, 'AVX: offset and bytes');
  });
  it('and CR4 show in CPUID as OSXSAVE', () => {
    const value = registers(`mov eax, 1\n cpuid\n mov r8, rcx\n ${OSXSAVE_OFF}\n mov eax, 1\n cpuid\n mov r9, rcx`);
    assert.equal(value(8) & 0x0c00_0000n, 0x0c00_0000n);
    assert.equal(value(9) & 0x0c00_0000n, 0x0400_0000n);
  });
});

import assert from 'node:assert/strict';
import type { DecodedInstruction } from './decode.ts';
import { codeContext, fpuRefusal } from './fpu-traps.ts';
import * as L from './layout.ts';
import type { LinearMemory } from './state.ts';
import { createTestMachine } from './system/system-test-support.ts';

const VECTOR_UD = 6;
const VECTOR_NM = 7;
const TASK_SWITCHED = 0x8005_003b;
const LINUX_CR0 = 0x8005_0033;

/** The vector a VEX-encoded instruction of a feature is refused with in this state. */
function vexRefusal(feature: string, cr0: number, cr4: number, xcr0: number): number | undefined {
  const values = new Map([
    [L.CR0, cr0],
    [L.CR4, cr4],
    [L.XCR0, xcr0],
    [L.CODE_MODE, 2],
  ]);
  const mem = { get32: (at: number) => values.get(at)! } as LinearMemory;
  const insn = { row: { vex: 'L0', feature, encoding: '' }, operands: [], op: '' } as unknown as DecodedInstruction;
  return fpuRefusal(insn, codeContext(mem))?.vector;
}

describe('availability of vector instructions', () => {
  it('takes CR4.OSXSAVE and the AVX state of XCR0 for AVX', () => {
    assert.equal(vexRefusal('avx', LINUX_CR0, 0x40620, 7), undefined);
    assert.equal(vexRefusal('avx2', LINUX_CR0, 0x620, 7), VECTOR_UD);
    assert.equal(vexRefusal('fma', LINUX_CR0, 0x40620, 3), VECTOR_UD);
    assert.equal(vexRefusal('avx', LINUX_CR0, 0x40020, 7), undefined, 'OSFXSR does not matter');
    assert.equal(vexRefusal('avx', LINUX_CR0 | 4, 0x40620, 7), undefined, 'nor does EM');
  });

  it('lets CR0.TS trap AVX', () => {
    assert.equal(vexRefusal('avx', TASK_SWITCHED, 0x40620, 7), VECTOR_NM);
    assert.equal(vexRefusal('avx', TASK_SWITCHED, 0x620, 7), VECTOR_UD, '#UD comes first');
  });

  it('takes nothing for VEX-encoded instructions of general registers', () => {
    assert.equal(vexRefusal('bmi1', TASK_SWITCHED, 0x620, 1), undefined);
    assert.equal(vexRefusal('bmi2', LINUX_CR0, 0x620, 1), undefined);
  });

  it('is decided anew for code that a jump has reached before', () => {
    const machine = createTestMachine(`
      xor r8, r8
      lea rbx, [rip + vectors]
      mov ecx, 3
    again: call rbx
      dec ecx
      jnz again
      mov rax, cr0
      or rax, 8
      mov cr0, rax
      inc r8
      mov ecx, 1
      jmp again
    .balign 64
    vectors: addps xmm0, xmm1
      ret`);
    machine.run();
    const report = machine.report();
    assert.equal(report?.vector, VECTOR_NM);
    assert.equal(machine.context.cpu.gpr(8), 1n, 'at the first call');
    assert.equal(report.rip, machine.symbols.get('vectors'));
  });
});

/** Kernels that change between 64-bit and compatibility mode: what is translated in one is executed in it only. */
import assert from 'node:assert/strict';
import type { MachineOptions } from '../machine/api.ts';
import { bootSource } from './board-test-support.ts';

const ROUNDS = 40;
/**
 * Each round runs a loop of 64-bit code, whose REX prefixes are instructions elsewhere, and then a loop of 32-bit code that leaves the interpreter many times.
 * Notes what both have counted.
 */
const SOURCE = `main:
  lgdt [wide_pointer]
  mov eax, 0x400000
  mov dword ptr [eax], 0x401003
  mov dword ptr [eax + 0x1000], 0x83
  mov cr3, eax
  mov eax, cr4
  or eax, 0x20
  mov cr4, eax
  mov ecx, 0xc0000080
  rdmsr
  or eax, 0x100
  wrmsr
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  xor edi, edi
  mov esi, ${ROUNDS}
  mov dword ptr ds:[0x7000], 0
  ljmp 0x18, offset long_start
  .code64
long_start:
  xor r10, r10
long:
  mov ebp, 5
1: inc r10
  add r10, 2
  dec ebp
  jnz 1b
  mov dword ptr [0x7000], r10d
  jmp fword ptr [narrow_pointer]
  .code32
narrow:
  mov ebp, 30
2: xor eax, eax
  cpuid
  inc edi
  dec ebp
  jnz 2b
  dec esi
  jz done
  ljmp 0x18, offset long
done:
  note dword ptr ds:[0x7000]
  note edi
  finish 0
  .balign 8
wide: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
wide_pointer: .word 31
  .long wide
narrow_pointer: .long narrow
  .word 8
`;

describe('64-bit code that becomes hot while other code runs', () => {
  const variants: readonly (readonly [string, MachineOptions['translate']])[] = [
    ['interpreted', false],
    ['translated when a batch is full', { threshold: 2, batch: 1, modules: 40, mostSteps: 1 }],
    ['translated later, in compatibility mode', { threshold: 2, batch: 100, modules: 40, mostSteps: 1 }],
  ];
  for (const [what, translate] of variants)
    it(`means the same: ${what}`, () => {
      assert.deepEqual(bootSource(SOURCE, { translate }).notes, [ROUNDS * 15, ROUNDS * 30]);
    });
});

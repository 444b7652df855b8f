/** What the comparison with the host CPU does not reach: faults, counts, code and the speed of repeated string instructions. */
import assert from 'node:assert/strict';
import { createTestMachine, UNMAPPED } from '../system/system-test-support.ts';
import type { TestMachine } from '../system/system-test-support.ts';

const RAX = 0;
const RCX = 1;
const RSI = 6;
const RDI = 7;
const BUFFER = 0x200000;

function run(source: string): TestMachine {
  const machine = createTestMachine(source);
  machine.run();
  return machine;
}
const registers = (machine: TestMachine, ...wanted: number[]) =>
  wanted.map((register) => machine.context.cpu.gpr(register));

describe('repeated string instructions', () => {
  it('stop with their registers at the element that faults', () => {
    const stos = run(`mov rdi, ${UNMAPPED - 20}\n mov ecx, 10\n at: rep stosd\n hlt`);
    assert.deepEqual(
      [stos.report()?.vector, stos.report()?.errorCode, stos.report()?.rip],
      [14, 2, stos.symbols.get('at')],
    );
    assert.deepEqual(registers(stos, RCX, RDI), [5n, BigInt(UNMAPPED)]);

    const movs = run(`mov rsi, ${UNMAPPED - 16}\n mov edi, ${BUFFER}\n mov ecx, 100\n rep movsb\n hlt`);
    assert.equal(movs.report()?.errorCode, 0);
    assert.deepEqual(registers(movs, RCX, RSI, RDI), [84n, BigInt(UNMAPPED), BigInt(BUFFER + 16)]);
    assert.equal(movs.context.cpu.cr2, BigInt(UNMAPPED));
  });

  it('keep the flags when a comparison faults in the middle', () => {
    const machine = run(`mov rdi, ${UNMAPPED - 4}\n mov ecx, 10\n mov eax, 0xd500\n sahf\n repe scasb\n hlt`);
    assert.equal(machine.report()!.rflags & 0xd5, 0xd5);
    assert.deepEqual(registers(machine, RCX, RDI), [6n, BigInt(UNMAPPED)]);
  });

  it('retire once a part', () => {
    const count = (source: string) => {
      const machine = createTestMachine(source);
      const before = machine.context.engine.retired;
      machine.run();
      return machine.context.engine.retired - before;
    };
    assert.equal(count(`mov edi, ${BUFFER}\n mov ecx, 65536\n rep stosb\n hlt`), 4);
    assert.equal(count(`mov edi, ${BUFFER}\n mov ecx, 65537\n rep stosb\n hlt`), 5);
    assert.equal(count(`mov edi, ${BUFFER}\n mov ecx, 0\n rep stosb\n hlt`), 4);
  });

  it('write code that then runs', () => {
    const machine = run(`
      call old\n mov ebx, eax
      lea rsi, [rip + new]\n lea rdi, [rip + old]\n mov ecx, 6\n rep movsb
      call old\n hlt
      old: mov eax, 1\n ret
      new: mov eax, 2\n ret`);
    assert.equal(machine.report(), undefined);
    assert.deepEqual(registers(machine, 3, RAX), [1n, 2n]);
  });

  it('move megabytes in milliseconds', () => {
    const machine = createTestMachine(`
      mov r8d, 16
      again: mov esi, ${BUFFER}\n mov edi, ${BUFFER + 0x200000}\n mov ecx, 0x200000\n rep movsb
      mov edi, ${BUFFER}\n mov ecx, 0x80000\n rep stosd
      dec r8d\n jnz again\n hlt`);
    const start = performance.now();
    machine.run();
    const elapsed = performance.now() - start;
    assert.ok(elapsed < 5000, `64 MB took ${elapsed.toFixed(0)} ms`);
  });
});

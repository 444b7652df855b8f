import assert from 'node:assert/strict';
import { createTestMachine } from './system-test-support.ts';

/** Vector and error code that the source ends in. */
function faultOf(source: string): [number, number] {
  const machine = createTestMachine(`${source}\n hlt`);
  // The handlers run on a stack of their own: RSP may be unusable.
  for (const vector of [12, 13, 14]) machine.gate(vector, { ist: 1 });
  machine.run();
  const report = machine.report();
  assert.ok(report, 'no handler ran');
  return [report.vector, report.errorCode];
}

describe('addresses that are not canonical', () => {
  const address = 'mov rbx, 0x800000000000\n';
  const cases: readonly (readonly [name: string, source: string, vector: number])[] = [
    ['a load is #GP', `${address} mov rax, [rbx]`, 13],
    ['a store is #GP', `${address} mov [rbx], rax`, 13],
    ['an operand based on RSP is #SS', `${address} mov rsp, rbx\n mov rax, [rsp]`, 12],
    ['an operand based on RBP is #SS', `${address} mov rbp, rbx\n add [rbp], rax`, 12],
    ['a push is #SS', `${address} lea rsp, [rbx+8]\n push rax`, 12],
    ['a pop is #SS', `${address} mov rsp, rbx\n pop rax`, 12],
    ['the operand of a push is #GP', `${address} push [rbx]`, 13],
  ];
  it('a jump to the last address of all is a page fault, though nothing is in the jump cache', () =>
    assert.equal(faultOf('mov rax, -1\n jmp rax')[0], 14));
  for (const [name, source, vector] of cases) it(name, () => assert.deepEqual(faultOf(source), [vector, 0]));
});

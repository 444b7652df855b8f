import assert from 'node:assert/strict';
import { mnemonics } from '../assembler/mnemonics.ts';
import { ringRule } from '../cpu/table/rings.ts';
import { table } from '../cpu/table/index.ts';
import { exitReason } from '../vmx/exit-reasons.ts';
import { exitsOfInstruction } from '../vmx/instruction-exits.ts';
import { instructionSummary, operandNotation, rowNotation } from './instructions.ts';

describe('descriptions of instructions', () => {
  const rows = [...new Set([...mnemonics('intel').values()].flat().map(({ row }) => row))];

  it('say of every mnemonic what it does', () => {
    for (const row of rows) assert.ok(instructionSummary(row.mnemonic ?? row.op), row.mnemonic ?? row.op);
  });

  it('write every operand code in the notation of the manual', () => {
    for (const row of rows)
      for (const code of row.operands ?? []) assert.match(operandNotation(code, 4), /^[\w/:()[\]+ ]+$/, code);
    const add = rows.find(({ op, operands }) => op === 'add' && operands!.join() === 'Ev,Ibs')!;
    assert.equal(rowNotation(add, 4), 'add r/m32, imm8');
  });

  it('know ring and exits only of instructions that are in the table', () => {
    const ops = new Set([...table, ...rows].map(({ op }) => op));
    for (const op of ops) for (const { reason } of exitsOfInstruction(op)) assert.ok(exitReason(reason), op);
    assert.equal(ringRule({ op: 'wrmsr' })?.needs, 'ring 0');
    // Every instruction of VT-x but VMCALL and VMFUNC is for ring 0, and exits.
    for (const { op, feature } of table)
      if (feature === 'vmx' && op !== 'vmcall' && op !== 'vmfunc') {
        assert.equal(ringRule({ op })?.needs, 'ring 0', op);
        assert.equal(exitsOfInstruction(op).length, 1, op);
      }
  });
});

/** The walk of a chosen address: set "address" to any expression; it begins with the instruction pointer. */
import { describeEntry, entryName } from '../../emulator/mmu/entries.ts';
import type { Walk, WalkStep } from '../../emulator/mmu/api.ts';
import { typeWords, walkResult } from '../../emulator/mmu/walk-text.ts';
import { evaluate } from '../expressions/evaluate.ts';
import { hexadecimal, partRow } from '../presentation/registers.ts';
import type { VariableRow } from '../presentation/variable.ts';
import type { ScopeDefinition } from './scope.ts';

export const pageWalk: ScopeDefinition = {
  name: 'Page walk',
  expensive: true,
  available: () => true,
  rows(debuggee, frame) {
    const gva = debuggee.walkAddresses.get(frame.thread) ?? frame.pc;
    const address: VariableRow = {
      name: 'address',
      value: hexadecimal(gva),
      memoryReference: hexadecimal(gva),
      set: (text) => void debuggee.walkAddresses.set(frame.thread, evaluate(text, frame.scope).value.unsigned()),
    };
    const walk = debuggee.machine.walk(frame.thread, gva, 'read');
    return [
      address,
      { name: 'result', value: walkResult(walk), hint: { attributes: ['readOnly'] } },
      ...(walk.memoryType
        ? [{ name: 'memory type', value: typeWords(walk.memoryType), hint: { attributes: ['readOnly'] } }]
        : []),
      ...walk.steps.map((step) => stepRow(step, walk)),
    ];
  },
};

function stepRow(step: WalkStep, walk: Walk): VariableRow {
  const described = describeEntry(step, step.entry);
  const whose =
    step.table === 'ept'
      ? ` for ${step.forGuestLevel ? entryName({ table: 'guest', level: step.forGuestLevel }) : 'the page'}`
      : '';
  const place =
    step.table === 'guest' ? `gpa:${hexadecimal(BigInt(step.gpa))}` : `hpa:${hexadecimal(BigInt(step.hpa))}`;
  return {
    name: `${walk.steps.indexOf(step) + 1} ${entryName(step)}${whose}`,
    value: `${hexadecimal(step.entry)} at ${place}: ${described.text}`,
    memoryReference: `hpa:${hexadecimal(BigInt(step.hpa))}`,
    children: described.parts.length > 0 ? { rows: () => described.parts.map((part) => partRow(part)) } : undefined,
    hint: { attributes: ['readOnly'] },
  };
}

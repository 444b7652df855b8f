/** Events as rows and as bodies of the protocol. */
import type { Fact, MachineEvent } from '../../emulator/machine/events.ts';
import type { Debuggee } from '../debuggee.ts';
import type { EventBody } from '../protocol.ts';
import type { VariableRow } from './variable.ts';

/** Facts that are counts or small numbers read better in decimal. */
const DECIMAL = new Set([
  'cpl',
  'reason',
  'number',
  'vector',
  'old',
  'new',
  'cr',
  'pid',
  'tid',
  'instructionLength',
  'status',
  'bytes',
  'stream',
  'result',
]);

export function factText(name: string, value: Fact): string {
  if (typeof value === 'bigint' || typeof value === 'number') {
    const signed =
      typeof value === 'bigint' && value >> 63n === 1n && DECIMAL.has(name) ? BigInt.asIntN(64, value) : value;
    return DECIMAL.has(name) && signed < 65536 ? signed.toString() : `0x${value.toString(16)}`;
  }
  return String(value);
}

export function eventRows(event: MachineEvent): VariableRow[] {
  const readOnly = { attributes: ['readOnly'] };
  const rows: VariableRow[] = [
    { name: 'summary', value: event.summary, hint: readOnly },
    {
      name: 'RIP',
      value: `0x${event.rip.toString(16)}`,
      memoryReference: `0x${event.rip.toString(16)}`,
      hint: readOnly,
    },
    { name: 'CPL', value: `${event.cpl}`, hint: readOnly },
  ];
  for (const [name, value] of Object.entries(event.facts))
    if (name !== 'rip' && name !== 'cpl') rows.push({ name, value: factText(name, value), hint: readOnly });
  rows.push({ name: 'instructions', value: event.instructions.toString(), hint: readOnly });
  return rows;
}

export function eventBody(debuggee: Debuggee, event: MachineEvent): EventBody {
  const facts: EventBody['facts'] = {};
  for (const [name, value] of Object.entries(event.facts))
    facts[name] =
      typeof value === 'bigint' || (typeof value === 'number' && !DECIMAL.has(name)) ? factText(name, value) : value;
  const known = debuggee.machine.threads().some(({ id }) => id === event.thread);
  const symbols = known ? debuggee.images.at(event.thread, event.rip, event.mode) : undefined;
  const position = symbols?.addressToSource(event.rip);
  const path = position && debuggee.images.localSource(position.path);
  return {
    sequence: event.sequence,
    kind: event.kind,
    thread: event.thread,
    instructions: event.instructions,
    cycles: event.cycles,
    rip: `0x${event.rip.toString(16)}`,
    cpl: event.cpl,
    mode: event.mode,
    summary: event.summary,
    facts,
    symbol: known ? debuggee.images.symbol(event.thread, event.rip, event.mode) : undefined,
    source: position && path ? { path, line: position.line } : undefined,
  };
}

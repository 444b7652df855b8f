/** All registers in their groups. General registers are the frame's own; the others are the thread's. */
import type { RegisterInfo } from '../../emulator/machine/api.ts';
import { isOtherLevel, processorOf } from '../../emulator/machine/levels.ts';
import type { Debuggee } from '../debuggee.ts';
import type { CodeFrame } from '../frames.ts';
import { registerRow } from '../presentation/registers.ts';
import type { VariableRow } from '../presentation/variable.ts';
import { RequestError } from '../request.ts';
import { registerNumber } from '../symbols/dwarf/registers.ts';
import type { ScopeDefinition } from './scope.ts';

const GROUPS: readonly { readonly group: RegisterInfo['group']; readonly name: string }[] = [
  { group: 'general', name: 'General' },
  { group: 'segment', name: 'Segment' },
  { group: 'control', name: 'Control' },
  { group: 'debug', name: 'Debug' },
  { group: 'msr', name: 'MSR' },
  { group: 'sse', name: 'SSE' },
  { group: 'avx', name: 'AVX' },
  { group: 'x87', name: 'x87' },
  { group: 'mode', name: 'Mode' },
];
const PROGRAM_COUNTER = 16;

export const registers: ScopeDefinition = {
  name: 'Registers',
  hint: 'registers',
  expensive: true,
  available: () => true,
  rows(debuggee, frame) {
    // General registers of the level that does not run: what its frames saved of them.
    const members = (group: RegisterInfo['group']): RegisterInfo[] =>
      debuggee.machine
        .registers(group === 'general' ? processorOf(frame.thread) : frame.thread)
        .filter((register) => register.group === group);
    return GROUPS.filter(({ group }) => members(group).length > 0).map(({ group, name }) => ({
      name,
      value: '',
      children: { rows: () => members(group).map((register) => row(debuggee, frame, register)) },
    }));
  },
};

function row(debuggee: Debuggee, frame: CodeFrame, register: RegisterInfo): VariableRow {
  const number = registerNumber(register.name.toLowerCase());
  const write = (name: string, value: bigint): void => debuggee.machine.writeRegister(frame.thread, name, value);
  const { frame: physical } = frame.scope;
  const other = isOtherLevel(frame.thread);
  if (number === undefined || number > PROGRAM_COUNTER || (physical.depth === 0 && !other)) {
    const again = (): RegisterInfo =>
      debuggee.machine.registers(frame.thread).find(({ name }) => name === register.name) ?? register;
    return registerRow(other ? { ...again(), writable: false } : register, write, again);
  }
  const value = physical.register(number);
  if (value === undefined)
    return {
      name: register.name,
      value: other ? '<of the level that runs>' : '<not saved by the calls since>',
      hint: { attributes: ['readOnly'] },
    };
  const inFrame = (_: string, bits: bigint): void => {
    if (!physical.writeRegister(number, bits)) throw new RequestError(`${register.name} cannot be set in this frame.`);
  };
  // The machine's words and parts are about the thread's value.
  return registerRow(
    { name: register.name, group: register.group, bits: register.bits, writable: register.writable, value },
    inFrame,
  );
}

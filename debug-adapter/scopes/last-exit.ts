/** The last VM exit of the thread, decoded. */
import { processorOf } from '../../emulator/machine/levels.ts';
import { eventRows } from '../presentation/events.ts';
import type { ScopeDefinition } from './scope.ts';

export const lastExit: ScopeDefinition = {
  name: 'Last VM exit',
  expensive: true,
  available: ({ log }, { thread }) => log.latest(processorOf(thread), 'vm-exit') !== undefined,
  rows({ log, machine }, { thread }) {
    const event = log.latest(processorOf(thread), 'vm-exit');
    if (!event) return [];
    const rows = eventRows(event);
    const information = machine.vmcs(thread)?.filter(({ group, text }) => group === 'exit-information' && text) ?? [];
    for (const { name, text } of information) rows.push({ name, value: text!, hint: { attributes: ['readOnly'] } });
    return rows;
  },
};

/** The last system call of the thread, by whichever way it went. */
import type { EventKind } from '../../emulator/machine/events.ts';
import { eventRows } from '../presentation/events.ts';
import type { ScopeDefinition } from './scope.ts';

const WAYS: readonly { readonly kind: EventKind; readonly text: string }[] = [
  { kind: 'trapped-syscall', text: 'SYSCALL from ring 3, trapped by ring 0' },
  { kind: 'vmcall-syscall', text: 'VMCALL from Dune mode' },
  { kind: 'host-syscall', text: 'SYSCALL from Linux mode' },
];

export const systemCall: ScopeDefinition = {
  name: 'System call',
  expensive: true,
  available: ({ log }, { thread }) => WAYS.some(({ kind }) => log.latest(thread, kind) !== undefined),
  rows({ log }, { thread }) {
    const found = WAYS.flatMap(({ kind, text }) => {
      const event = log.latest(thread, kind);
      return event ? [{ event, text }] : [];
    }).sort((a, b) => b.event.sequence - a.event.sequence)[0];
    if (!found) return [];
    return [{ name: 'way', value: found.text, hint: { attributes: ['readOnly'] } }, ...eventRows(found.event)];
  },
};

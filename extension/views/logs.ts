/** The two logs: VM exits with what they cost, and system calls by where they came from. */
import type { EventBody } from '../../debug-adapter/protocol.ts';
import type { ActiveSession } from '../session.ts';
import { LogView, type Appearance } from './log.ts';

export function vmExitsView(session: ActiveSession): LogView {
  return new LogView(session, { id: 'dune.vmExits', kinds: ['vm-exit', 'vm-entry'], describe: describeExit });
}

function describeExit(event: EventBody, later: readonly EventBody[]): Appearance | undefined {
  if (event.kind !== 'vm-exit') return undefined;
  const reason = String(event.facts.reason);
  // The label says the reason already.
  const words = event.summary.replace(/^VM exit \w+ \(\d+\),? ?/, '');
  const entry = later.find(({ kind, thread }) => kind === 'vm-entry' && thread === event.thread);
  const cost = entry ? `${entry.cycles - event.cycles} cycles` : '';
  const where = event.symbol ?? event.rip;
  return { label: reason, description: [words, where, cost].filter(Boolean).join('  ·  '), icon: 'debug-step-out' };
}

const ORIGIN: Readonly<Record<string, { readonly icon: string; readonly text: string }>> = {
  'trapped-syscall': { icon: 'shield', text: 'trapped by ring 0' },
  'vmcall-syscall': { icon: 'debug-step-out', text: 'VMCALL' },
  'host-syscall': { icon: 'terminal', text: 'Linux mode' },
};

export function syscallsView(session: ActiveSession): LogView {
  return new LogView(session, { id: 'dune.syscalls', kinds: Object.keys(ORIGIN), describe: describeSyscall });
}

function describeSyscall(event: EventBody): Appearance {
  const origin = ORIGIN[event.kind];
  const text = `from ring ${event.cpl}, ${origin?.text ?? event.kind}`;
  return { label: event.summary, description: text, icon: origin?.icon };
}

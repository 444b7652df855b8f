/** What to do when the machine stops by itself while a plan runs: breakpoints with conditions, events, ends. */
import type { StopReason } from '../../emulator/machine/api.ts';
import type { MachineEvent } from '../../emulator/machine/events.ts';
import type { AddressBreakpoint } from '../breakpoints/breakpoint.ts';
import type { Debuggee } from '../debuggee.ts';
import type { Outcome, Progress } from './plan.ts';

/** A user's breakpoint at the address a thread has come to, if one wants to stop there. */
export function breakpointAt(debuggee: Debuggee, thread: number, gva: bigint): Outcome | undefined {
  const candidates = ofThisImage(debuggee, thread, gva, debuggee.session.breakpoints.at(gva));
  if (candidates.length === 0) return undefined;
  debuggee.invalidate();
  const scope = debuggee.stacks.top(thread)?.scope;
  const stopping: AddressBreakpoint[] = [];
  let note: string | undefined;
  for (const breakpoint of candidates) {
    const hit = scope ? breakpoint.hit(debuggee, scope) : { stop: true as const };
    if (!hit.stop) continue;
    stopping.push(breakpoint);
    note ??= hit.note;
  }
  if (stopping.length === 0) return undefined;
  return { kind: 'breakpoint', thread, ids: stopping.map(({ id }) => id), what: stopping[0]!.kind, note };
}

/** Another program of the process tree, or the other level of a hypervisor, may have other code at the address of a source breakpoint. */
function ofThisImage(
  debuggee: Debuggee,
  thread: number,
  gva: bigint,
  candidates: readonly AddressBreakpoint[],
): readonly AddressBreakpoint[] {
  if (candidates.every(({ images }) => images.length === 0)) return candidates;
  const image = debuggee.images.at(thread, gva)?.path;
  return candidates.filter(({ images }) => images.length === 0 || (image !== undefined && images.includes(image)));
}

/** Stops that are the same for every plan; undefined for a breakpoint no one wants and for the plan's own ones. */
export function commonOutcome(debuggee: Debuggee, reason: StopReason): Progress | undefined {
  const { machine, eventBreakpoints } = debuggee;
  switch (reason.kind) {
    case 'budget':
    case 'requested':
    case 'step':
      return undefined;
    case 'breakpoint':
      return breakpointAt(debuggee, reason.thread, reason.gva);
    case 'event': {
      const filter = eventBreakpoints.lastFilter;
      return {
        kind: 'event',
        thread: threadOf(debuggee, reason.event),
        event: reason.event,
        filter: filter?.filter ?? '',
        label: filter?.label ?? reason.event.kind,
      };
    }
    case 'watchpoint':
      return { kind: 'pause', thread: reason.thread };
    case 'input':
      return 'input';
    case 'deadlock':
      return { kind: 'deadlock', thread: machine.currentThread() };
    case 'exited':
      return { kind: 'exited', status: reason.status, signal: reason.signal };
  }
}

/** The thread an event is about: while nothing runs the kernel acts for a thread it names in the facts. */
function threadOf({ machine }: Debuggee, event: MachineEvent): number {
  const known = new Set(machine.threads().map(({ id }) => id));
  const named = Number(event.facts.tid ?? event.thread);
  return known.has(event.thread) ? event.thread : known.has(named) ? named : machine.currentThread();
}

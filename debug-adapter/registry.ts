/** Every request the adapter answers, and what it therefore advertises. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Request } from './request.ts';
import { breakpointLocations } from './requests/breakpoint-locations.ts';
import { configurationDone } from './requests/configuration-done.ts';
import { continue_ } from './requests/continue.ts';
import { disassemble } from './requests/disassemble.ts';
import { disconnect } from './requests/disconnect.ts';
import { eventFilters } from './requests/dune/event-filters.ts';
import { events } from './requests/dune/events.ts';
import { explanation } from './requests/dune/explanation.ts';
import { fault } from './requests/dune/fault.ts';
import { memoryMap } from './requests/dune/memory-map.ts';
import { pageTable } from './requests/dune/page-table.ts';
import { setEventBreakpoints } from './requests/dune/set-event-breakpoints.ts';
import { setPageTableEntry } from './requests/dune/set-page-table-entry.ts';
import { setVmcsField } from './requests/dune/set-vmcs-field.ts';
import { tlb, tlbEntry } from './requests/dune/tlb.ts';
import { vmcs } from './requests/dune/vmcs.ts';
import { walk } from './requests/dune/walk.ts';
import { wouldExit } from './requests/dune/would-exit.ts';
import { evaluate } from './requests/evaluate.ts';
import { exceptionInfo } from './requests/exception-info.ts';
import { initialize } from './requests/initialize.ts';
import { launch } from './requests/launch.ts';
import { loadedSources } from './requests/loaded-sources.ts';
import { next } from './requests/next.ts';
import { pause } from './requests/pause.ts';
import { readMemory } from './requests/read-memory.ts';
import { restart } from './requests/restart.ts';
import { scopes } from './requests/scopes.ts';
import { setBreakpoints } from './requests/set-breakpoints.ts';
import { setExceptionBreakpoints } from './requests/set-exception-breakpoints.ts';
import { setExpression } from './requests/set-expression.ts';
import { setFunctionBreakpoints } from './requests/set-function-breakpoints.ts';
import { setInstructionBreakpoints } from './requests/set-instruction-breakpoints.ts';
import { setVariable } from './requests/set-variable.ts';
import { source } from './requests/source.ts';
import { stackTrace } from './requests/stack-trace.ts';
import { stepIn } from './requests/step-in.ts';
import { stepOut } from './requests/step-out.ts';
import { terminate } from './requests/terminate.ts';
import { threads } from './requests/threads.ts';
import { variables } from './requests/variables.ts';
import { writeMemory } from './requests/write-memory.ts';

export const REQUESTS: readonly Request[] = [
  ...[initialize(() => capabilities()), launch, restart, configurationDone, terminate, disconnect],
  ...[
    setBreakpoints,
    breakpointLocations,
    setFunctionBreakpoints,
    setInstructionBreakpoints,
    setExceptionBreakpoints,
    exceptionInfo,
  ],
  ...[continue_, pause, next, stepIn, stepOut],
  ...[threads, stackTrace, scopes, variables, setVariable, evaluate, setExpression],
  ...[disassemble, readMemory, writeMemory, source, loadedSources],
  ...[
    pageTable,
    setPageTableEntry,
    walk,
    vmcs,
    setVmcsField,
    wouldExit,
    events,
    eventFilters,
    setEventBreakpoints,
    explanation,
    fault,
    tlb,
    tlbEntry,
    memoryMap,
  ],
];

const BY_COMMAND = new Map(REQUESTS.map((request) => [request.command, request]));

export function findRequest(command: string): Request | undefined {
  return BY_COMMAND.get(command);
}

export function capabilities(): DebugProtocol.Capabilities {
  return Object.assign({}, ...REQUESTS.map((request) => request.capabilities ?? {})) as DebugProtocol.Capabilities;
}

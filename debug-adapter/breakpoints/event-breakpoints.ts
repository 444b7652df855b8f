/** Event breakpoints in force: those of setExceptionBreakpoints and those of the view, each a filter with a condition. */
import type { EventKind, MachineEvent } from '../../emulator/machine/events.ts';
import type { Debuggee } from '../debuggee.ts';
import { parseCondition, type Condition } from '../expressions/condition.ts';
import { describeError, ExpressionError } from '../expressions/errors.ts';
import { interpolateFacts } from './event-message.ts';
import { EVENT_FILTERS, type EventFilter } from './event-filters.ts';
import { describeFacts, factOf } from './facts.ts';
import { hitTest, type HitTest } from './hit-count.ts';

export interface EventBreakpointSpec {
  readonly filter: string;
  readonly condition?: string;
  readonly hitCondition?: string;
  readonly logMessage?: string;
}

interface Active {
  readonly filter: EventFilter;
  readonly conditions: readonly Condition[];
  readonly hitTest: HitTest | undefined;
  readonly logMessage: string | undefined;
  hits: number;
}

export type Owner = 'exceptions' | 'view';
export type Verdict = { readonly verified: true } | { readonly verified: false; readonly message: string };

export class EventBreakpoints {
  readonly #active: Record<Owner, Active[]> = { exceptions: [], view: [] };
  #unsubscribe: (() => void) | undefined;
  /** The breakpoint that made the machine stop last. */
  lastFilter: EventFilter | undefined;

  constructor(readonly debuggee: Debuggee) {}

  /** Replaces an owner's event breakpoints. One verdict for each, in order. */
  set(owner: Owner, specs: readonly EventBreakpointSpec[]): Verdict[] {
    const made = specs.map((spec) => activate(spec));
    this.#active[owner] = made.flatMap((result) => ('filter' in result ? [result] : []));
    this.#subscribe();
    return made.map((result) =>
      'filter' in result ? { verified: true } : { verified: false, message: result.message },
    );
  }

  /** Takes over what another run of the program had. */
  adopt(other: EventBreakpoints): void {
    for (const owner of ['exceptions', 'view'] as const)
      this.#active[owner] = other.#active[owner].map((active) => ({ ...active, hits: 0 }));
    this.#subscribe();
  }

  get #all(): Active[] {
    return [...this.#active.exceptions, ...this.#active.view];
  }

  /** Only kinds somebody waits for are made at all. */
  #subscribe(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    const kinds = [...new Set(this.#all.map(({ filter }) => filter.kind))] as EventKind[];
    if (kinds.length === 0) return;
    this.#unsubscribe = this.debuggee.machine.events.subscribe(kinds, (event) => this.#seen(event));
  }

  /** Stops the machine, before the event takes effect where that is possible. */
  #seen(event: MachineEvent): 'hold' | void {
    for (const active of this.#all) {
      if (
        active.filter.kind !== event.kind ||
        !active.conditions.every((holds) => holds((name) => factOf(event, name)))
      )
        continue;
      active.hits++;
      if (active.hitTest && !active.hitTest(active.hits)) continue;
      if (active.logMessage !== undefined) {
        this.debuggee.session.console(interpolateFacts(active.logMessage, event));
        continue;
      }
      this.lastFilter = active.filter;
      this.debuggee.machine.stop(event);
      return 'hold';
    }
  }
}

function activate(spec: EventBreakpointSpec): Active | { message: string } {
  const filter = EVENT_FILTERS.find((candidate) => candidate.filter === spec.filter);
  if (!filter) return { message: `There is no event breakpoint '${spec.filter}'.` };
  try {
    const facts = describeFacts([...filter.facts, ...(filter.where ? ['mode', 'reason', 'abnormal', 'action'] : [])]);
    const conditions = filter.where ? [parseCondition(filter.where, facts)] : [];
    if (spec.condition) conditions.push(parseCondition(spec.condition, describeFacts(filter.facts)));
    const test = spec.hitCondition ? hitTest(spec.hitCondition) : undefined;
    return { filter, conditions, hitTest: test, logMessage: spec.logMessage, hits: 0 };
  } catch (error) {
    if (error instanceof ExpressionError) return { message: describeError(error) };
    throw error;
  }
}

/** Event breakpoints as a tree of checkboxes, each with an optional condition. They are kept with the workspace and sent to every session. */
import * as vscode from 'vscode';
import { EVENT_FILTERS, type EventFilter } from '../../debug-adapter/breakpoints/event-filters.ts';
import type { SetEventBreakpointsArguments, SetEventBreakpointsResponse } from '../../debug-adapter/protocol.ts';
import type { ActiveSession } from '../session.ts';
import { NodeTree, type Node } from './tree.ts';

const STATE_KEY = 'dune.eventBreakpoints';

interface Setting {
  enabled: boolean;
  condition?: string;
}

export class EventBreakpointsView implements vscode.Disposable {
  readonly #tree: NodeTree;
  readonly #subscriptions: vscode.Disposable[] = [];
  readonly #settings: Map<string, Setting>;
  /** What the adapter says of a refused condition, by filter. */
  readonly #refused = new Map<string, string>();
  /** Filters the session has taken. */
  #accepted = new Set<string>();

  constructor(
    readonly session: ActiveSession,
    readonly storage: vscode.Memento,
  ) {
    this.#settings = new Map(Object.entries(storage.get<Record<string, Setting>>(STATE_KEY, {})));
    this.#tree = new NodeTree('dune.eventBreakpoints', () => this.#children(undefined), {
      checkboxes: true,
      showCollapseAll: false,
    });
    this.#subscriptions.push(
      this.#tree,
      this.#tree.view.onDidChangeCheckboxState(({ items }) => this.#checked(items)),
      session.onDidBegin(() => void this.#send()),
      session.onDidEnd(() => this.#ended()),
      session.onDidFilter(() => this.#tree.refresh()),
      vscode.commands.registerCommand('dune.editEventCondition', (node: Node) => this.#editCondition(node.id)),
      vscode.commands.registerCommand('dune.clearEventBreakpoints', () => {
        this.#settings.clear();
        return this.#changed();
      }),
    );
  }

  #children(parent: string | undefined): Node[] {
    return EVENT_FILTERS.filter((filter) => filter.parent === parent).map((filter) => this.#node(filter));
  }

  #node(filter: EventFilter): Node {
    const setting = this.#settings.get(filter.filter);
    const refused = this.#refused.get(filter.filter);
    const hasChildren = EVENT_FILTERS.some(({ parent }) => parent === filter.filter);
    return {
      id: filter.filter,
      label: filter.label,
      description: refused ?? setting?.condition ?? (this.#isOnElsewhere(filter) ? 'on in the Breakpoints view' : ''),
      tooltip: `${filter.description}\nA condition may use: ${filter.facts.join(', ')}\ne.g. ${filter.conditionExample}`,
      icon: this.#icon(filter.filter),
      checked: setting?.enabled ?? false,
      expanded: true,
      context: 'dune.eventFilter',
      children: hasChildren ? () => this.#children(filter.filter) : undefined,
    };
  }

  /** The dot of breakpoints: full once a session has taken it. */
  #icon(filter: string): string | undefined {
    if (this.#refused.has(filter)) return 'warning';
    if (!this.#settings.get(filter)?.enabled) return undefined;
    return this.#accepted.has(filter) ? 'debug-breakpoint' : 'debug-breakpoint-unverified';
  }

  /** The workbench's Breakpoints view has the same filters, and its state is its own. */
  #isOnElsewhere(filter: EventFilter): boolean {
    return this.session.exceptionFilters?.has(filter.filter) ?? filter.default === true;
  }

  #checked(items: readonly (readonly [Node, vscode.TreeItemCheckboxState])[]): void {
    for (const [{ id }, state] of items) this.#set(id, { enabled: state === vscode.TreeItemCheckboxState.Checked });
    void this.#changed();
  }

  #set(filter: string, change: Partial<Setting>): void {
    this.#settings.set(filter, { enabled: false, ...this.#settings.get(filter), ...change });
  }

  async #editCondition(filter: string): Promise<void> {
    const row = EVENT_FILTERS.find((candidate) => candidate.filter === filter);
    if (!row) return;
    const condition = await vscode.window.showInputBox({
      title: `Stop on: ${row.label}`,
      prompt: `A condition over ${row.facts.join(', ')}. Empty: always.`,
      placeHolder: row.conditionExample,
      value: this.#settings.get(filter)?.condition,
    });
    if (condition === undefined) return;
    this.#set(filter, { condition: condition.trim() || undefined, enabled: true });
    await this.#changed();
  }

  async #changed(): Promise<void> {
    // The program may be about to run: telling the session is what cannot wait.
    await this.#send();
    await this.storage.update(STATE_KEY, Object.fromEntries(this.#settings));
  }

  /** Called as soon as a session takes requests: the request is then handled before the one that lets the program run. */
  async #send(): Promise<void> {
    this.#refused.clear();
    if (this.session.session) await this.#sendTo();
    this.#tree.refresh();
  }

  async #sendTo(): Promise<void> {
    const enabled = [...this.#settings].filter(([, setting]) => setting.enabled);
    const breakpoints = enabled.map(([filter, { condition }]) => ({ filter, condition }));
    const args: SetEventBreakpointsArguments = { breakpoints };
    try {
      const answer = await this.session.request<SetEventBreakpointsResponse>('dune/setEventBreakpoints', args);
      const taken = answer.breakpoints.map((verdict, index) => ({ ...verdict, filter: breakpoints[index]!.filter }));
      this.#accepted = new Set(taken.flatMap(({ verified, filter }) => (verified ? [filter] : [])));
      for (const { verified, filter, message } of taken) if (!verified) this.#refused.set(filter, message ?? 'refused');
    } catch (error) {
      void vscode.window.showErrorMessage(`The event breakpoints were not set: ${(error as Error).message}`);
    }
  }

  #ended(): void {
    this.#accepted.clear();
    this.#tree.refresh();
  }

  dispose(): void {
    for (const subscription of this.#subscriptions) subscription.dispose();
  }
}

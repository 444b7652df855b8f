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
      icon: refused ? 'warning' : undefined,
      checked: setting?.enabled ?? false,
      expanded: true,
      context: 'dune.eventFilter',
      children: hasChildren ? () => this.#children(filter.filter) : undefined,
    };
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
    this.#refused.clear();
    await this.storage.update(STATE_KEY, Object.fromEntries(this.#settings));
    await this.#send();
    this.#tree.refresh();
  }

  /** Called as soon as a session takes requests: the request is then handled before the one that lets the program run. */
  async #send(): Promise<void> {
    if (!this.session.session) return;
    const enabled = [...this.#settings].filter(([, setting]) => setting.enabled);
    const breakpoints = enabled.map(([filter, { condition }]) => ({ filter, condition }));
    const args: SetEventBreakpointsArguments = { breakpoints };
    try {
      const answer = await this.session.request<SetEventBreakpointsResponse>('dune/setEventBreakpoints', args);
      answer.breakpoints.forEach(({ verified, message }, index) => {
        if (!verified) this.#refused.set(breakpoints[index]!.filter, message ?? 'refused');
      });
    } catch (error) {
      void vscode.window.showErrorMessage(`The event breakpoints were not set: ${(error as Error).message}`);
    }
    this.#tree.refresh();
  }

  dispose(): void {
    for (const subscription of this.#subscriptions) subscription.dispose();
  }
}

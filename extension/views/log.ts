/** A live log of events, newest on top. A click reveals the source line. */
import * as vscode from 'vscode';
import type { EventBody, EventsArguments, EventsResponse } from '../../debug-adapter/protocol.ts';
import type { ActiveSession } from '../session.ts';
import { NodeTree, type Node } from './tree.ts';

/** Newest events kept in a view. */
const SHOWN = 1000;
/** Events looked at again for results that came later. */
const OVERLAP = 64;

export type Appearance = Pick<Node, 'label' | 'description' | 'icon'>;

export interface LogOptions {
  readonly id: string;
  /** Kinds of events that are fetched. */
  readonly kinds: readonly string[];
  /** How an event looks; undefined for one that is only context of others. `later` are the events after it, oldest first. */
  readonly describe: (event: EventBody, later: readonly EventBody[]) => Appearance | undefined;
}

export class LogView implements vscode.Disposable {
  readonly #tree: NodeTree;
  readonly #subscriptions: vscode.Disposable[] = [];
  #events: EventBody[] = [];
  #next = 0;
  #fetching = false;
  #isStale = false;

  constructor(
    readonly session: ActiveSession,
    readonly options: LogOptions,
  ) {
    this.#tree = new NodeTree(options.id, () => this.#nodes(), { showCollapseAll: false });
    this.#subscriptions.push(
      this.#tree,
      session.onDidLog(() => this.#grown()),
      session.onDidStop(() => this.#grown()),
      session.onDidBegin(() => this.#clear()),
      this.#tree.view.onDidChangeVisibility(() => this.#grown()),
    );
  }

  /** The log of an ended session stays until the next one begins. */
  #clear(): void {
    this.#events = [];
    this.#next = 0;
    this.#tree.refresh();
  }

  /** Fetches what is new, one request at a time; a view nobody sees asks for nothing. */
  #grown(): void {
    this.#isStale = true;
    if (!this.#fetching) void this.#fetch();
  }

  async #fetch(): Promise<void> {
    this.#fetching = true;
    try {
      while (this.#isStale && this.#tree.view.visible && this.session.session) {
        this.#isStale = false;
        await this.#fetchNew();
      }
    } catch (error) {
      console.warn(`${this.options.id}: ${(error as Error).message}`);
    } finally {
      this.#fetching = false;
    }
  }

  async #fetchNew(): Promise<void> {
    // The newest are asked for again: a system call that was under way has its result by now.
    const since = Math.max(0, this.#next - OVERLAP);
    const args: EventsArguments = { kinds: [...this.options.kinds], since, limit: SHOWN };
    const { events, next } = await this.session.request<EventsResponse>('dune/events', args);
    if (next < this.#next) {
      // The program was restarted: its log begins anew.
      this.#clear();
      this.#isStale = true;
      return;
    }
    this.#next = next;
    if (events.length === 0) return;
    this.#events = [...this.#events.filter(({ sequence }) => sequence < since), ...events].slice(-SHOWN);
    this.#tree.refresh();
  }

  #nodes(): Node[] {
    const nodes: Node[] = [];
    for (const [index, event] of this.#events.entries()) {
      const appearance = this.options.describe(event, this.#events.slice(index + 1, index + 4));
      if (appearance) nodes.push(eventNode(event, appearance));
    }
    return nodes.reverse();
  }

  dispose(): void {
    for (const subscription of this.#subscriptions) subscription.dispose();
  }
}

function eventNode(event: EventBody, appearance: Appearance): Node {
  const { source } = event;
  const facts = Object.entries(event.facts).map(([name, value]) => `${name} = ${value}`);
  const place = source ? `${source.path}:${source.line}` : undefined;
  return {
    id: String(event.sequence),
    ...appearance,
    tooltip: [
      event.summary,
      `at ${event.symbol ?? event.rip}, ${event.mode} mode, ring ${event.cpl}, thread ${event.thread}`,
      ...(place ? [place] : []),
      `instruction ${event.instructions}, cycle ${event.cycles}`,
      ...facts,
    ].join('\n'),
    command: source && {
      command: 'dune.revealSource',
      title: 'Reveal the source',
      arguments: [source.path, source.line],
    },
  };
}

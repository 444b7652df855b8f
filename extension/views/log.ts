/** Live logs of events: VM exits, and system calls by where they came from. A click reveals the source line. */
import * as vscode from 'vscode';
import type { EventBody, EventsResponse } from '../../debug-adapter/protocol.ts';
import type { ActiveSession } from '../session.ts';
import { NodeTree, type Node } from './tree.ts';

/** Newest events kept in a view. */
const SHOWN = 500;

export class LogView implements vscode.Disposable {
  readonly #tree: NodeTree;
  readonly #subscriptions: vscode.Disposable[] = [];
  #events: EventBody[] = [];
  #next = 0;
  #session: vscode.DebugSession | undefined;

  constructor(
    id: string,
    readonly session: ActiveSession,
    readonly kinds: readonly string[],
    readonly describe: (event: EventBody) => Pick<Node, 'label' | 'description' | 'icon'>,
  ) {
    this.#tree = new NodeTree(id, () => this.#events.map((event) => this.#node(event)).reverse());
    this.#subscriptions.push(
      this.#tree,
      session.onDidLog(() => void this.#fetch()),
      session.onDidChange(() => this.#restart()),
    );
  }

  /** The log of an ended session stays until the next one begins. */
  #restart(): void {
    const { session } = this.session;
    if (!session || session === this.#session) return;
    this.#session = session;
    this.#events = [];
    this.#next = 0;
    this.#tree.refresh();
  }

  async #fetch(): Promise<void> {
    try {
      const args = { kinds: this.kinds, since: this.#next, limit: SHOWN };
      const { events, next } = await this.session.request<EventsResponse>('dune/events', args);
      if (events.length === 0 && next >= this.#next) return;
      // Time went backwards (step back, restart): the log does too.
      const kept = next < this.#next ? [] : this.#events;
      this.#events = [...kept, ...events].slice(-SHOWN);
      this.#next = next;
      this.#tree.refresh();
    } catch (error) {
      console.warn(`dune log: ${(error as Error).message}`);
    }
  }

  #node(event: EventBody): Node {
    const where = event.symbol ?? event.rip;
    const facts = Object.entries(event.facts).map(([name, value]) => `${name} = ${value}`);
    const { source } = event;
    return {
      id: String(event.sequence),
      ...this.describe(event),
      tooltip: [
        event.summary,
        `at ${where}, ${event.mode} mode, ring ${event.cpl}, thread ${event.thread}`,
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

  dispose(): void {
    for (const subscription of this.#subscriptions) subscription.dispose();
  }
}

export function vmExitsView(session: ActiveSession): LogView {
  return new LogView('dune.vmExits', session, ['vm-exit'], (event) => ({
    label: `${event.facts.reason ?? event.kind}`,
    description: `${event.summary}  ${event.symbol ?? event.rip}  ${event.cycles} cycles`,
    icon: 'debug-step-out',
  }));
}

const ORIGIN: Readonly<Record<string, { icon: string; text: string }>> = {
  'trapped-syscall': { icon: 'shield', text: 'ring 3 → ring 0' },
  'vmcall-syscall': { icon: 'debug-step-out', text: 'VMCALL' },
  'host-syscall': { icon: 'terminal-linux', text: 'Linux mode' },
};

export function syscallsView(session: ActiveSession): LogView {
  return new LogView('dune.syscalls', session, Object.keys(ORIGIN), (event) => ({
    label: event.summary,
    description: `${ORIGIN[event.kind]?.text ?? event.kind}, ring ${event.cpl}`,
    icon: ORIGIN[event.kind]?.icon,
  }));
}

/** What the views of the stopped machine share: when they look again, and what they say while it runs. */
import * as vscode from 'vscode';
import type { ActiveSession } from '../session.ts';
import { NodeTree, type Node } from './tree.ts';

export abstract class MachineView implements vscode.Disposable {
  protected readonly tree: NodeTree;
  protected readonly subscriptions: vscode.Disposable[] = [];
  /** Nodes of the last stop, shown until the next one. */
  #shown: Node[] = [];
  #thread = 0;

  protected constructor(
    id: string,
    readonly session: ActiveSession,
  ) {
    this.tree = new NodeTree(id, () => this.#nodes());
    this.subscriptions.push(
      this.tree,
      session.onDidBegin(() => this.tree.forget()),
      session.onDidStop(() => this.#stopped()),
      session.onDidRun(() => this.#running()),
      session.onDidEnd(() => this.#ended()),
    );
  }

  /** Nodes at the top, while the program is stopped. */
  protected abstract roots(): Promise<Node[]>;

  async #nodes(): Promise<Node[]> {
    if (this.session.isStopped) this.#shown = await this.roots();
    return this.#shown;
  }

  #stopped(): void {
    this.tree.view.message = undefined;
    if (this.session.threadId === this.#thread) this.tree.advance();
    else this.tree.forget();
    this.#thread = this.session.threadId;
  }

  #running(): void {
    if (this.#shown.length > 0) this.tree.view.message = 'The program is running: this is the state of its last stop.';
  }

  #ended(): void {
    this.tree.view.message = undefined;
    this.#shown = [];
    this.tree.refresh();
  }

  /** Does what the user asked for, and shows why it could not be done. */
  protected async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      void vscode.window.showErrorMessage((error as Error).message);
    }
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
  }
}

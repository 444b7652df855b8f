/** The screen that explains the fault, exit or shutdown that the program stopped for: one click away in the debug toolbar, and kept up to date while it is open. */
import * as vscode from 'vscode';
import type { FaultResponse } from '../../debug-adapter/protocol.ts';
import type { ActiveSession } from '../session.ts';
import { faultHtml } from './fault-html.ts';

const REVEAL = 'dune.revealSource';
/** Context key: there is something to explain. */
const HAS_FAULT = 'dune.hasFault';

export class FaultScreen implements vscode.Disposable {
  readonly #subscriptions: vscode.Disposable[] = [];
  #panel: vscode.WebviewPanel | undefined;

  constructor(readonly session: ActiveSession) {
    this.#subscriptions.push(
      session.onDidStop(() => void this.#stopped()),
      session.onDidEnd(() => void vscode.commands.executeCommand('setContext', HAS_FAULT, false)),
      vscode.commands.registerCommand('dune.explainFault', () => this.#open()),
    );
  }

  async #ask(): Promise<FaultResponse> {
    if (!this.session.isStopped) return { message: 'Faults are explained while a Dune program is stopped at one.' };
    try {
      return await this.session.request<FaultResponse>('dune/fault');
    } catch (error) {
      return { message: (error as Error).message };
    }
  }

  async #stopped(): Promise<void> {
    const { fault, message } = await this.#ask();
    await vscode.commands.executeCommand('setContext', HAS_FAULT, fault !== undefined);
    this.#show({ fault, message });
  }

  async #open(): Promise<void> {
    const answer = await this.#ask();
    if (!answer.fault)
      return void vscode.window.showInformationMessage(answer.message ?? 'There is nothing to explain.');
    if (this.#panel) this.#panel.reveal(undefined, true);
    else this.#create();
    this.#show(answer);
  }

  #create(): void {
    const where = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    this.#panel = vscode.window.createWebviewPanel('dune.fault', 'Fault', where, { enableCommandUris: [REVEAL] });
    this.#panel.onDidDispose(() => (this.#panel = undefined));
  }

  /** What was explained stays in sight until there is another fault; its title says that it is past. */
  #show({ fault }: FaultResponse): void {
    if (!this.#panel) return;
    if (!fault) {
      this.#panel.title = 'Fault (an earlier stop)';
      return;
    }
    this.#panel.title = `Fault: ${fault.title}`;
    this.#panel.webview.html = faultHtml(fault, REVEAL);
    // A source that was opened over it; where it shares a group with the source that has stopped it stays behind.
    const { visible, viewColumn } = this.#panel;
    if (!visible && viewColumn !== vscode.window.activeTextEditor?.viewColumn) this.#panel.reveal(undefined, true);
  }

  dispose(): void {
    this.#panel?.dispose();
    for (const subscription of this.#subscriptions) subscription.dispose();
  }
}

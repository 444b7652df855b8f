/** The Dune session the views look at: which one it is, which thread, and when to look again. */
import * as vscode from 'vscode';

/** Milliseconds between two looks at the log while the program runs. */
const LIVE_INTERVAL = 300;

export class ActiveSession implements vscode.Disposable {
  readonly #stopped = new vscode.EventEmitter<void>();
  readonly #logged = new vscode.EventEmitter<void>();
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #subscriptions: vscode.Disposable[] = [];
  #session: vscode.DebugSession | undefined;
  #threadId = 0;
  #isStopped = false;
  #logTimer: ReturnType<typeof setTimeout> | undefined;

  /** The program stopped, or another thread or frame was selected: state may be read. */
  readonly onDidStop = this.#stopped.event;
  /** New events are in the log. */
  readonly onDidLog = this.#logged.event;
  /** A session began, ended, or went on running. */
  readonly onDidChange = this.#changed.event;

  constructor() {
    this.#subscriptions.push(
      vscode.debug.registerDebugAdapterTrackerFactory('dune', {
        createDebugAdapterTracker: (session) => ({ onDidSendMessage: (message) => this.#message(session, message) }),
      }),
      vscode.debug.onDidTerminateDebugSession((session) => this.#ended(session)),
      vscode.debug.onDidChangeActiveStackItem((item) => this.#selected(item)),
    );
  }

  get session(): vscode.DebugSession | undefined {
    return this.#session;
  }
  get threadId(): number {
    return this.#threadId;
  }
  /** True while registers and tables can be read. */
  get isStopped(): boolean {
    return this.#session !== undefined && this.#isStopped;
  }

  /** A custom request to the session. Rejects with the adapter's sentence. */
  async request<T>(command: string, args: object = {}): Promise<T> {
    if (!this.#session) throw new Error('No Dune program is being debugged.');
    return (await this.#session.customRequest(command, args)) as T;
  }

  /** Makes every view look again, after something was edited. */
  refresh(): void {
    if (this.isStopped) this.#stopped.fire();
  }

  #message(session: vscode.DebugSession, message: { type: string; event?: string; body?: { threadId?: number } }): void {
    if (message.type !== 'event') return;
    switch (message.event) {
      case 'initialized':
        this.#session = session;
        this.#isStopped = false;
        this.#changed.fire();
        break;
      case 'stopped':
        this.#session = session;
        this.#isStopped = true;
        this.#threadId = message.body?.threadId ?? this.#threadId;
        this.#stopped.fire();
        this.#logged.fire();
        break;
      case 'continued':
        this.#running();
        break;
      case 'invalidated':
        this.refresh();
        break;
      case 'dune/log':
        this.#logTimer ??= setTimeout(() => {
          this.#logTimer = undefined;
          this.#logged.fire();
        }, LIVE_INTERVAL);
        break;
    }
  }

  #running(): void {
    this.#isStopped = false;
    this.#changed.fire();
  }

  #selected(item: vscode.DebugThread | vscode.DebugStackFrame | undefined): void {
    if (!item || item.session.type !== 'dune') return;
    const moved = this.#session !== item.session || this.#threadId !== item.threadId;
    this.#session = item.session;
    this.#threadId = item.threadId;
    if (moved && this.#isStopped) this.#stopped.fire();
  }

  #ended(session: vscode.DebugSession): void {
    if (session !== this.#session) return;
    this.#session = undefined;
    this.#isStopped = false;
    this.#changed.fire();
  }

  dispose(): void {
    if (this.#logTimer) clearTimeout(this.#logTimer);
    for (const subscription of this.#subscriptions) subscription.dispose();
  }
}

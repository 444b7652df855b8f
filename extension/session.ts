/** The Dune session the views look at: which one it is, which thread, and when to look again. */
import * as vscode from 'vscode';

/** Milliseconds the program must have run before views say so: a step is shorter, and must not make them flicker. */
const RUNNING_AFTER = 300;

/** Requests after whose answer the program runs. */
const RESUMING = new Set(['continue', 'next', 'stepIn', 'stepOut', 'restart', 'configurationDone']);

/** What is read of requests on their way to the adapter. */
interface FilterRequest {
  readonly command?: string;
  readonly arguments?: { readonly filters?: string[]; readonly filterOptions?: { readonly filterId: string }[] };
}
interface Message {
  readonly type: string;
  readonly event?: string;
  readonly command?: string;
  readonly success?: boolean;
  readonly body?: { readonly threadId?: number };
}

export class ActiveSession implements vscode.Disposable {
  readonly #began = new vscode.EventEmitter<void>();
  readonly #stopped = new vscode.EventEmitter<void>();
  readonly #ran = new vscode.EventEmitter<void>();
  readonly #ended = new vscode.EventEmitter<void>();
  readonly #logged = new vscode.EventEmitter<void>();
  readonly #filtered = new vscode.EventEmitter<void>();
  readonly #subscriptions: vscode.Disposable[] = [];
  /** Ids of the sessions that stand still. */
  readonly #still = new Set<string>();
  /** Event breakpoints that are on in the workbench's own Breakpoints view, once a session has told. */
  #exceptionFilters: ReadonlySet<string> | undefined;
  #session: vscode.DebugSession | undefined;
  #threadId = 0;
  #runTimer: ReturnType<typeof setTimeout> | undefined;

  /** A session takes requests, and its program has not run yet. */
  readonly onDidBegin = this.#began.event;
  /** State may be read, and may differ: the program stopped, another thread was selected, or something was edited. */
  readonly onDidStop = this.#stopped.event;
  /** The program has been running for a while. */
  readonly onDidRun = this.#ran.event;
  readonly onDidEnd = this.#ended.event;
  /** New events are in the log. */
  readonly onDidLog = this.#logged.event;
  /** `exceptionFilters` are other ones. */
  readonly onDidFilter = this.#filtered.event;

  constructor() {
    this.#subscriptions.push(
      vscode.debug.registerDebugAdapterTrackerFactory('dune', {
        createDebugAdapterTracker: (session) => ({
          onWillReceiveMessage: (message: FilterRequest) => this.#requested(message),
          onDidSendMessage: (message: Message) => this.#message(session, message),
        }),
      }),
      vscode.debug.onDidTerminateDebugSession((session) => this.#terminated(session)),
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
    return this.#session !== undefined && this.#still.has(this.#session.id);
  }

  get exceptionFilters(): ReadonlySet<string> | undefined {
    return this.#exceptionFilters;
  }

  /** A custom request to the session. Rejects with the adapter's sentence. */
  async request<T>(command: string, args: object = {}): Promise<T> {
    if (!this.#session) throw new Error('No Dune program is being debugged.');
    return (await this.#session.customRequest(command, args)) as T;
  }

  #requested({ command, arguments: args }: FilterRequest): void {
    if (command !== 'setExceptionBreakpoints' || !args) return;
    const options = args.filterOptions?.map(({ filterId }) => filterId) ?? [];
    this.#exceptionFilters = new Set([...(args.filters ?? []), ...options]);
    this.#filtered.fire();
  }

  #message(session: vscode.DebugSession, message: Message): void {
    if (message.type === 'response' && message.success && RESUMING.has(message.command ?? '')) this.#running(session);
    if (message.type !== 'event') return;
    switch (message.event) {
      case 'initialized':
        this.#session = session;
        this.#began.fire();
        break;
      case 'stopped':
        this.#session = session;
        this.#still.add(session.id);
        this.#threadId = message.body?.threadId ?? this.#threadId;
        this.#cancelRunning();
        this.#stopped.fire();
        break;
      case 'continued':
        this.#running(session);
        break;
      case 'invalidated':
        if (session === this.#session && this.isStopped) this.#stopped.fire();
        break;
      case 'dune/log':
        if (session === this.#session) this.#logged.fire();
        break;
    }
  }

  #running(session: vscode.DebugSession): void {
    this.#still.delete(session.id);
    this.#runTimer ??= setTimeout(() => {
      this.#runTimer = undefined;
      if (this.#session && !this.isStopped) this.#ran.fire();
    }, RUNNING_AFTER);
  }
  #cancelRunning(): void {
    clearTimeout(this.#runTimer);
    this.#runTimer = undefined;
  }

  #selected(item: vscode.DebugThread | vscode.DebugStackFrame | undefined): void {
    if (!item || item.session.type !== 'dune') return;
    const moved = this.#session !== item.session || this.#threadId !== item.threadId;
    this.#session = item.session;
    this.#threadId = item.threadId;
    if (moved && this.isStopped) this.#stopped.fire();
  }

  #terminated(session: vscode.DebugSession): void {
    this.#still.delete(session.id);
    if (session !== this.#session) return;
    this.#cancelRunning();
    this.#session = undefined;
    this.#ended.fire();
  }

  dispose(): void {
    this.#cancelRunning();
    for (const subscription of this.#subscriptions) subscription.dispose();
  }
}

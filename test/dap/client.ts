/** A DAP client in the same process as the adapter, for tests: typed enough to be short, and it records what passes. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { InlineAdapter } from '../../debug-adapter/hosting/inline.ts';
import { nodeHost } from '../../debug-adapter/hosting/node/host.ts';

type Message = DebugProtocol.ProtocolMessage;
type Body = Record<string, unknown>;

export interface StoppedBody {
  readonly reason: string;
  readonly threadId: number;
  readonly description?: string;
  readonly text?: string;
  readonly hitBreakpointIds?: number[];
}

export class TestClient {
  readonly #adapter = new InlineAdapter(nodeHost());
  readonly #waiting = new Map<number, (response: DebugProtocol.Response) => void>();
  readonly #events: DebugProtocol.Event[] = [];
  #wake: () => void = () => {};
  #sequence = 0;
  /** Everything the program wrote, by category. */
  readonly output = { stdout: '', stderr: '', console: '', important: '' };

  constructor() {
    this.#adapter.onDidSendMessage((message) => this.#receive(message));
  }

  #receive(message: Message): void {
    if (message.type === 'response') {
      const response = message as DebugProtocol.Response;
      this.#waiting.get(response.request_seq)?.(response);
      this.#waiting.delete(response.request_seq);
      return;
    }
    const event = message as DebugProtocol.Event;
    if (event.event === 'output') {
      const { category, output } = event.body as { category: keyof TestClient['output']; output: string };
      this.output[category] += output;
    } else this.#events.push(event);
    this.#wake();
  }

  /** The raw response, failed ones too. */
  send(command: string, args: unknown = {}): Promise<DebugProtocol.Response> {
    const seq = ++this.#sequence;
    return new Promise((resolve) => {
      this.#waiting.set(seq, resolve);
      this.#adapter.handleMessage({ seq, type: 'request', command, arguments: args });
    });
  }

  /** The body of a response; fails with the adapter's sentence. */
  async request<T = Body>(command: string, args: unknown = {}): Promise<T> {
    const response = await this.send(command, args);
    if (!response.success) throw new Error(`${command}: ${response.message}`);
    return (response.body ?? {}) as T;
  }

  /** The next event of one of the names; others that come before it are passed over. */
  async event(...names: string[]): Promise<DebugProtocol.Event> {
    for (;;) {
      const at = this.#events.findIndex(({ event }) => names.includes(event));
      if (at >= 0) return this.#events.splice(0, at + 1)[at]!;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
  async stopped(): Promise<StoppedBody> {
    const event = await this.event('stopped', 'exited', 'terminated');
    if (event.event !== 'stopped')
      throw new Error(
        `The program ended (${JSON.stringify(event.body)}) instead of stopping.\n${this.output.stderr}${this.output.important}`,
      );
    return event.body as StoppedBody;
  }
  async exitCode(): Promise<number> {
    const event = await this.event('exited', 'terminated');
    return event.event === 'exited' ? (event.body as { exitCode: number }).exitCode : -1;
  }

  /** Loads a program; `configure` sets breakpoints before it runs. */
  async launch(args: Body, configure: (client: TestClient) => Promise<unknown> = async () => {}): Promise<void> {
    await this.request('initialize', { adapterID: 'dune', linesStartAt1: true, columnsStartAt1: true });
    await this.request('launch', args);
    await this.event('initialized');
    await configure(this);
    await this.request('configurationDone');
  }

  async frames(threadId: number, levels = 20): Promise<DebugProtocol.StackFrame[]> {
    return (await this.request<{ stackFrames: DebugProtocol.StackFrame[] }>('stackTrace', { threadId, levels }))
      .stackFrames;
  }
  async scopes(frameId: number): Promise<DebugProtocol.Scope[]> {
    return (await this.request<{ scopes: DebugProtocol.Scope[] }>('scopes', { frameId })).scopes;
  }
  async variables(variablesReference: number): Promise<DebugProtocol.Variable[]> {
    return (await this.request<{ variables: DebugProtocol.Variable[] }>('variables', { variablesReference })).variables;
  }
  /** The rows of a scope of the innermost frame. */
  async scope(threadId: number, name: string, frame = 0): Promise<DebugProtocol.Variable[]> {
    const frames = await this.frames(threadId);
    const scope = (await this.scopes(frames[frame]!.id)).find((candidate) => candidate.name === name);
    if (!scope) throw new Error(`There is no scope ${name}.`);
    return this.variables(scope.variablesReference);
  }
  async evaluate(expression: string, context = 'watch', frameId?: number): Promise<string> {
    return (await this.request<{ result: string }>('evaluate', { expression, context, frameId })).result;
  }
  async close(): Promise<void> {
    await this.send('disconnect');
    this.#adapter.dispose();
  }
}

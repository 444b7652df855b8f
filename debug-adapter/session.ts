/** Routes DAP messages to requests and sends what they answer. Knows nothing of the machine. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { ExpressionError, describeError } from './expressions/errors.ts';
import type { Debuggee } from './debuggee.ts';
import type { Host } from './host.ts';
import { RequestError } from './request.ts';
import { findRequest } from './registry.ts';
import { SessionBreakpoints } from './breakpoints/session-breakpoints.ts';

export type SendMessage = (message: DebugProtocol.ProtocolMessage) => void;

export class Session {
  /** What the client said of itself in `initialize`. */
  client: DebugProtocol.InitializeRequestArguments = { adapterID: 'dune' };
  /** Breakpoints as the client set them; they outlive a restart of the program. */
  readonly breakpoints = new SessionBreakpoints(this);
  #debuggee: Debuggee | undefined;
  #sequence = 1;

  constructor(
    readonly host: Host,
    readonly send: SendMessage,
  ) {}

  /** The launched program. Throws RequestError before `launch`. */
  get debuggee(): Debuggee {
    if (!this.#debuggee) throw new RequestError('No program has been launched.');
    return this.#debuggee;
  }
  get launched(): Debuggee | undefined {
    return this.#debuggee;
  }
  set launched(debuggee: Debuggee | undefined) {
    this.#debuggee = debuggee;
  }

  /** Takes a message of the client; anything that is not a well-formed request is answered, or ignored, but never fatal. */
  receive(message: unknown): void {
    const request = message as Partial<DebugProtocol.Request> | null;
    if (typeof request !== 'object' || request === null || request.type !== 'request') return;
    const seq = Number.isInteger(request.seq) ? request.seq! : 0;
    const command = typeof request.command === 'string' ? request.command : '';
    void this.#answer({ seq, type: 'request', command, arguments: request.arguments });
  }

  async #answer(request: DebugProtocol.Request): Promise<void> {
    const response: DebugProtocol.Response = {
      seq: 0,
      type: 'response',
      request_seq: request.seq,
      command: request.command,
      success: true,
    };
    try {
      const handler = findRequest(request.command);
      if (!handler) throw new RequestError(`The request '${request.command}' is not supported.`);
      const args = typeof request.arguments === 'object' && request.arguments !== null ? request.arguments : {};
      const body = await handler.run(this, args as never);
      if (body !== undefined) response.body = body;
    } catch (error) {
      response.success = false;
      response.message = sentence(error);
      response.body = { error: { id: 1, format: '{reason}', variables: { reason: response.message } } };
    }
    this.#send(response);
  }

  event(name: string, body: object = {}): void {
    const event: DebugProtocol.Event = { seq: 0, type: 'event', event: name, body };
    this.#send(event);
  }

  /** A line in the debug console. */
  console(text: string, category: 'console' | 'important' | 'stdout' | 'stderr' = 'console'): void {
    this.event('output', { category, output: text.endsWith('\n') ? text : `${text}\n` });
  }

  #send(message: DebugProtocol.ProtocolMessage): void {
    message.seq = this.#sequence++;
    this.send(message);
  }
}

function sentence(error: unknown): string {
  if (error instanceof ExpressionError) return describeError(error);
  return error instanceof Error ? error.message : String(error);
}

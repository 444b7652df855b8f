/** A session in the caller's own thread or worker: the shape of vscode.DebugAdapter, without importing vscode. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Host } from '../host.ts';
import { Session } from '../session.ts';

export class InlineAdapter {
  readonly #listeners = new Set<(message: DebugProtocol.ProtocolMessage) => void>();
  readonly #session: Session;

  constructor(host: Host) {
    this.#session = new Session(host, (message) => {
      for (const listener of this.#listeners) listener(message);
    });
  }

  readonly onDidSendMessage = (listener: (message: DebugProtocol.ProtocolMessage) => void): { dispose(): void } => {
    this.#listeners.add(listener);
    return { dispose: () => void this.#listeners.delete(listener) };
  };

  handleMessage(message: unknown): void {
    this.#session.receive(message);
  }

  dispose(): void {
    this.#session.launched?.runner.stop();
    this.#session.launched = undefined;
  }
}

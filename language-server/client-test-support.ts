/** A client that talks to the server over streams, as an editor does, and writes down what is said. */
import { readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import {
  createConnection,
  createProtocolConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type Diagnostic,
  type ProtocolConnection,
} from 'vscode-languageserver/node';
import { timers } from './hosting/timers.ts';
import { READ_FILE, type InitializationOptions } from './protocol.ts';
import { serve } from './server.ts';

export class TestClient {
  readonly connection: ProtocolConnection;
  readonly #waiting: { uri: string; version: number; resolve: (diagnostics: Diagnostic[]) => void }[] = [];
  readonly diagnostics = new Map<string, Diagnostic[]>();

  constructor() {
    const [toServer, toClient] = [new PassThrough(), new PassThrough()];
    const server = createConnection(new StreamMessageReader(toServer), new StreamMessageWriter(toClient));
    serve(server, timers);
    server.listen();
    this.connection = createProtocolConnection(new StreamMessageReader(toClient), new StreamMessageWriter(toServer));
    this.connection.onRequest(READ_FILE, ({ uri }: { uri: string }) => {
      try {
        return readFileSync(fileURLToPath(uri)).toString('base64');
      } catch {
        return null;
      }
    });
    this.connection.onNotification('textDocument/publishDiagnostics', ({ uri, version, diagnostics }) => {
      this.diagnostics.set(uri, diagnostics);
      for (const [index, waiting] of [...this.#waiting.entries()].reverse())
        if (waiting.uri === uri && version >= waiting.version) {
          this.#waiting.splice(index, 1);
          waiting.resolve(diagnostics);
        }
    });
    this.connection.listen();
  }

  async initialize(initializationOptions: InitializationOptions = {}): Promise<void> {
    await this.request('initialize', { processId: null, rootUri: null, capabilities: {}, initializationOptions });
    await this.connection.sendNotification('initialized', {});
  }
  request<Result = unknown>(method: string, params: object): Promise<Result> {
    return this.connection.sendRequest<Result>(method, params);
  }
  /** Diagnostics of this version or a later one, when they come next. */
  next(uri: string, version: number): Promise<Diagnostic[]> {
    return new Promise((resolve) => this.#waiting.push({ uri, version, resolve }));
  }
  async open(uri: string, text: string): Promise<Diagnostic[]> {
    const diagnostics = this.next(uri, 1);
    await this.connection.sendNotification('textDocument/didOpen', {
      textDocument: { uri, languageId: 'gas', version: 1, text },
    });
    return diagnostics;
  }
  /** Replaces a range and waits for the diagnostics. */
  async edit(
    uri: string,
    version: number,
    line: number,
    from: number,
    to: number,
    text: string,
  ): Promise<Diagnostic[]> {
    const diagnostics = this.next(uri, version);
    await this.connection.sendNotification('textDocument/didChange', {
      textDocument: { uri, version },
      contentChanges: [{ range: { start: { line, character: from }, end: { line, character: to } }, text }],
    });
    return diagnostics;
  }
  dispose(): void {
    this.connection.dispose();
  }
}

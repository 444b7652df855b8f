/** A small DAP client over a child process's standard streams. */
import { spawn, type ChildProcess } from 'node:child_process';

export type Body = Record<string, unknown>;
export interface DapEvent {
  readonly event: string;
  readonly body: Body;
}
interface Waiting {
  readonly resolve: (body: Body) => void;
  readonly reject: (error: Error) => void;
}

export class Client {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #events: DapEvent[] = [];
  readonly #listeners = new Set<() => void>();
  #buffer = Buffer.alloc(0);
  #sequence = 0;
  /** Text the program wrote, in order. */
  output: (category: string, text: string) => void = () => {};

  constructor(command: string, args: string[]) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdout!.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#child.on('exit', () => this.#dispatch({ type: 'event', event: 'terminated', body: {} }));
  }

  /** Of the child. */
  get pid(): number {
    return this.#child.pid!;
  }

  request(command: string, args: Body = {}): Promise<Body> {
    const seq = ++this.#sequence;
    const message = Buffer.from(JSON.stringify({ seq, type: 'request', command, arguments: args }));
    this.#child.stdin!.write(`Content-Length: ${message.length}\r\n\r\n`);
    this.#child.stdin!.write(message);
    return new Promise((resolve, reject) => this.#waiting.set(seq, { resolve, reject }));
  }

  /** The next event of one of the names; earlier ones of them wait in a queue. */
  async next(names: string[]): Promise<DapEvent> {
    for (;;) {
      const at = this.#events.findIndex(({ event }) => names.includes(event));
      if (at >= 0) return this.#events.splice(at, 1)[0]!;
      await new Promise<void>((resolve) => this.#listeners.add(resolve));
      this.#listeners.clear();
    }
  }
  event(name: string): Promise<DapEvent> {
    return this.next([name]);
  }

  async close(): Promise<void> {
    await this.request('disconnect').catch(() => {});
    this.#child.kill();
  }

  #receive(chunk: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    for (;;) {
      const end = this.#buffer.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = Number(/Content-Length: (\d+)/i.exec(this.#buffer.toString('latin1', 0, end))?.[1]);
      if (this.#buffer.length < end + 4 + length) return;
      const text = this.#buffer.toString('utf8', end + 4, end + 4 + length);
      this.#buffer = this.#buffer.subarray(end + 4 + length);
      this.#dispatch(JSON.parse(text) as Body);
    }
  }

  #dispatch(message: Body): void {
    if (message.type === 'response') {
      const waiting = this.#waiting.get(message.request_seq as number);
      this.#waiting.delete(message.request_seq as number);
      if (message.success) waiting?.resolve((message.body as Body) ?? {});
      else waiting?.reject(new Error(String(message.message)));
      return;
    }
    if (message.type !== 'event') return;
    const body = (message.body as Body) ?? {};
    if (message.event === 'output') this.output(String(body.category), String(body.output));
    else this.#events.push({ event: String(message.event), body });
    for (const listener of this.#listeners) listener();
  }
}

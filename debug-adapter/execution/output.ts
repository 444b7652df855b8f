/** The program's output as DAP events, gathered so that a program that writes single bytes does not flood the client. */
import type { Session } from '../session.ts';

const CATEGORIES = { 1: 'stdout', 2: 'stderr' } as const;
/** Bytes gathered at most before they are sent. */
const LARGEST = 16_384;

export class Output {
  /** Streaming: a character may come in two writes. */
  readonly #decoders = { 1: new TextDecoder(), 2: new TextDecoder() };
  #text = '';
  #stream: 1 | 2 = 1;

  constructor(readonly session: Session) {}

  write(stream: 1 | 2, data: Uint8Array): void {
    if (stream !== this.#stream) this.flush();
    this.#stream = stream;
    this.#text += this.#decoders[stream].decode(data, { stream: true });
    if (this.#text.length > LARGEST) this.flush();
  }

  flush(): void {
    if (this.#text === '') return;
    this.session.event('output', { category: CATEGORIES[this.#stream], output: this.#text });
    this.#text = '';
  }
}

/** One session over a pair of Node streams. */
import type { Readable, Writable } from 'node:stream';
import { Session } from '../../session.ts';
import { encodeMessage, MessageReader } from '../framing.ts';
import { nodeHost } from './host.ts';

/** `ended` is called when the client has gone. */
export function serve(input: Readable, output: Writable, ended: () => void): void {
  const session = new Session(nodeHost(), (message) => {
    output.write(encodeMessage(message));
    const { type, command } = message as { type: string; command?: string };
    if (type === 'response' && command === 'disconnect') output.write('', () => ended());
  });
  const reader = new MessageReader(
    (message) => session.receive(message),
    (sentence) => session.console(sentence, 'important'),
  );
  input.on('data', (bytes: Buffer) => reader.push(bytes));
  input.on('close', () => {
    session.launched?.runner.stop();
    ended();
  });
  output.on('error', () => ended());
}

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { encodeMessage, MessageReader } from './framing.ts';
import { listen } from './tcp.ts';

describe('hosting over TCP', () => {
  it('answers each connection with a session of its own', async () => {
    const port = await new Promise<number>((resolve) => {
      const server = listen(0, resolve);
      server.unref();
    });
    for (let connection = 0; connection < 2; connection++) {
      const socket = connect(port, '127.0.0.1');
      const answer = new Promise<{ success: boolean; request_seq: number; body: object }>((resolve) => {
        const reader = new MessageReader((message) => resolve(message as never), assert.fail);
        socket.on('data', (bytes) => reader.push(bytes));
      });
      socket.write(encodeMessage({ seq: 5, type: 'request', command: 'initialize', arguments: { adapterID: 'dune' } }));
      const { success, request_seq: seq, body } = await answer;
      assert.deepEqual({ success, seq }, { success: true, seq: 5 });
      assert.ok('supportsConfigurationDoneRequest' in body);
      socket.end();
    }
  });
});

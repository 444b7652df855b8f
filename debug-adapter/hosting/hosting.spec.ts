import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeMessage, MessageReader } from './framing.ts';
import { nodeHostFiles } from './node/host-files.ts';
import { listen } from './tcp.ts';

describe('the files of the host', () => {
  it('are removed, and so are empty folders; what is not there stays so', () => {
    const folder = mkdtempSync(join(tmpdir(), 'dune-debug-'));
    const path = join(folder, 'inner');
    nodeHostFiles.makeDirectory(path);
    nodeHostFiles.writeFile(join(path, 'file'), Uint8Array.of(1));
    nodeHostFiles.remove(join(path, 'file'));
    nodeHostFiles.remove(path);
    nodeHostFiles.remove(path);
    assert.equal(nodeHostFiles.stat(path), undefined);
    nodeHostFiles.remove(folder);
    assert.equal(nodeHostFiles.stat(folder), undefined);
  });
});

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

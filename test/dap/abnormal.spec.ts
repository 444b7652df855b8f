import assert from 'node:assert/strict';
import { example } from '../machine/support.ts';
import { TestClient } from './client.ts';

/** Launches an example that fails and waits for the stop at the end of Dune mode. */
async function stoppedAtTheEnd(client: TestClient, name: string): Promise<number> {
  await client.launch({ program: example(name) }, () =>
    client.request('setExceptionBreakpoints', { filters: ['abnormal'] }),
  );
  const { threadId } = await client.stopped();
  return threadId;
}

async function topFrame(client: TestClient, threadId: number): Promise<{ id: number; name: string; line: number }> {
  const { stackFrames } = await client.request<{ stackFrames: { id: number; name: string; line: number }[] }>(
    'stackTrace',
    { threadId },
  );
  return stackFrames[0]!;
}

describe('an abnormal end of Dune mode', () => {
  it('holds the guest at the instruction: its registers and locals are there, in ring 0', async () => {
    const client = new TestClient();
    const threadId = await stoppedAtTheEnd(client, 'rdmsr');
    const frame = await topFrame(client, threadId);
    assert.equal(frame.name, 'rdmsr');
    assert.equal(await client.evaluate('$rcx', 'watch', frame.id), '3221225602');
    assert.equal(await client.evaluate('msr', 'watch', frame.id), '3221225602');
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), 1);
    assert.match(client.output.stdout + client.output.stderr, /unhandled VM exit/);
    await client.close();
  });

  it('can be repaired: past the instruction, the program goes on', async () => {
    const client = new TestClient();
    const threadId = await stoppedAtTheEnd(client, 'rdmsr');
    const { id } = await topFrame(client, threadId);
    await client.evaluate('$rax = 0x1234', 'repl', id);
    await client.evaluate('$rdx = 0', 'repl', id);
    await client.evaluate('$rip = $rip + 2', 'repl', id);
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), 0);
    assert.match(client.output.stdout, /never printed: 1234/);
    await client.close();
  });

  it('is told once, and ends when it is met again', async () => {
    for (const name of ['ept-violation', 'triple-fault', 'cr-write']) {
      const client = new TestClient();
      const threadId = await stoppedAtTheEnd(client, name);
      await client.request('continue', { threadId });
      assert.equal(await client.exitCode(), 1, name);
      await client.close();
    }
  });
});

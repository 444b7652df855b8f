import assert from 'node:assert/strict';
import { within } from '../support/quickest.ts';
import { example } from '../machine/support.ts';
import { TestClient } from './client.ts';
import { compile, lineOf, sourceOf } from './programs.ts';

const line = (words: string): number => lineOf('steps', words);

async function stoppedAt(words: string, flags: string[] = ['-O0']): Promise<{ client: TestClient; thread: number }> {
  const client = new TestClient();
  await client.launch({ program: compile('steps', ...flags) }, () =>
    client.request('setBreakpoints', { source: { path: sourceOf('steps') }, breakpoints: [{ line: line(words) }] }),
  );
  const { threadId } = await client.stopped();
  return { client, thread: threadId };
}

async function step(
  client: TestClient,
  thread: number,
  command: string,
  granularity?: string,
): Promise<{ name: string; line: number }> {
  await client.request(command, { threadId: thread, granularity });
  const { reason } = await client.stopped();
  assert.equal(reason, 'step');
  const [frame] = await client.frames(thread, 1);
  return { name: frame!.name, line: frame!.line };
}

describe('stepping', () => {
  it('over passes calls, recursion and loops', async () => {
    const { client, thread } = await stoppedAt('/* first */');
    assert.deepEqual(await step(client, thread, 'next'), { name: 'main', line: line('/* second */') });
    assert.deepEqual(await step(client, thread, 'next'), { name: 'main', line: line('/* third */') });
    assert.deepEqual(await step(client, thread, 'next'), { name: 'main', line: line('for (int i') });
    assert.deepEqual(await step(client, thread, 'next'), { name: 'main', line: line('/* loop */') });
    await client.close();
  });

  it('into stops at the first statement, out comes back', async () => {
    const { client, thread } = await stoppedAt('/* first */');
    assert.deepEqual(await step(client, thread, 'stepIn'), { name: 'add', line: line('/* in add */') });
    const back = await step(client, thread, 'stepOut');
    assert.deepEqual(back, { name: 'main', line: line('/* first */') });
    assert.deepEqual(await step(client, thread, 'next'), { name: 'main', line: line('/* second */') });
    await client.close();
  });

  it('into passes functions without lines', async () => {
    const { client, thread } = await stoppedAt('/* print */');
    assert.deepEqual(await step(client, thread, 'stepIn'), { name: 'main', line: line("argv[1][0] == 'i'") });
    assert.equal(client.output.stdout, '107 3 4\n');
    await client.close();
  });

  it('out of the end of a function arrives in the caller', async () => {
    const { client, thread } = await stoppedAt('/* end of add */');
    await step(client, thread, 'next');
    const { name } = await step(client, thread, 'next');
    assert.equal(name, 'main');
    await client.close();
  });

  it('out of recursion stops one level up', async () => {
    const { client, thread } = await stoppedAt('/* deepest */');
    const before = (await client.frames(thread)).filter(({ name }) => name === 'depth').length;
    assert.equal(before, 6);
    await step(client, thread, 'stepOut');
    const after = (await client.frames(thread)).filter(({ name }) => name === 'depth').length;
    assert.equal(after, 5);
    await client.close();
  });

  it('shows inlined copies as frames and steps out of them', async () => {
    const { client, thread } = await stoppedAt('/* inlined */');
    const frames = await client.frames(thread, 2);
    assert.deepEqual(frames.map(({ name, line: at }) => ({ name, line: at }))[1], {
      name: 'main',
      line: line('/* second */'),
    });
    const { name } = await step(client, thread, 'stepOut');
    assert.equal(name, 'main');
    await client.close();
  });

  it('by instruction moves by one, and over a call by one call', async () => {
    const { client, thread } = await stoppedAt('/* first */');
    for (let count = 0; count < 10; count++) {
      const rip = await client.evaluate('$rip');
      const { instructions } = await client.request<{ instructions: { address: string; instruction: string }[] }>(
        'disassemble',
        {
          memoryReference: rip,
          instructionCount: 2,
        },
      );
      await step(client, thread, 'next', 'instruction');
      assert.equal(BigInt(await client.evaluate('(long)$rip')), BigInt(instructions[1]!.address));
      if (instructions[0]!.instruction.startsWith('call')) return client.close();
    }
    assert.fail('no call among the instructions of the line');
  });

  it('steps over a fault an event breakpoint holds: the handler runs, and the next line is reached', async () => {
    const client = new TestClient();
    await client.launch({ program: example('hello') }, () =>
      client.request('setExceptionBreakpoints', { filters: ['page-fault'] }),
    );
    const { threadId } = await client.stopped();
    const line = async (): Promise<number> =>
      (await client.request<{ stackFrames: { line: number }[] }>('stackTrace', { threadId })).stackFrames[0]!.line;
    const faulting = await line();
    await client.request('next', { threadId });
    await client.stopped();
    assert.equal(await line(), faulting + 1);
    assert.match(client.output.stdout, /page fault 1: write/);
    await client.close();
  });

  it('steps into the handler of a held fault, to its very first instruction', async () => {
    const client = new TestClient();
    await client.launch({ program: example('hello') }, () =>
      client.request('setExceptionBreakpoints', { filters: ['page-fault'] }),
    );
    const { threadId } = await client.stopped();
    await client.request('stepIn', { threadId });
    await client.stopped();
    const entry = await client.evaluate('(unsigned long)&__dune_intr + 14 * 16');
    assert.equal(await client.evaluate('(unsigned long)$rip'), entry);
    await client.close();
  });

  it('is quick', async () => {
    const { client, thread } = await stoppedAt('/* first */');
    await within(50, () => step(client, thread, 'next'));
    await client.close();
  });
});

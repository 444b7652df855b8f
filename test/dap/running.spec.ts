import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { example } from '../machine/support.ts';
import { within } from '../support/quickest.ts';
import { TestClient } from './client.ts';
import { compile, lineOf, sourceOf } from './programs.ts';

const line = (words: string): number => lineOf('steps', words);
const program = (): string => compile('steps', '-O0');

function breakpoints(
  client: TestClient,
  ...specs: { words: string; [option: string]: unknown }[]
): Promise<{ breakpoints: { verified: boolean; message?: string; line?: number }[] }> {
  const wanted = specs.map(({ words, ...options }) => ({ line: line(words), ...options }));
  return client.request('setBreakpoints', { source: { path: sourceOf('steps') }, breakpoints: wanted });
}

/** Waits until the program has written a text; gives up shortly before mocha does, to say what was written. */
async function written(client: TestClient, text: string): Promise<void> {
  const end = performance.now() + 50_000;
  while (!client.output.stdout.includes(text)) {
    if (performance.now() > end) throw new Error(`the program wrote ${JSON.stringify(client.output.stdout)}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('running', () => {
  it('stops where conditions hold, after counted hits, and logs', async () => {
    const client = new TestClient();
    await client.launch({ program: program() }, () =>
      breakpoints(
        client,
        { words: '/* loop */', condition: 'i == 7' },
        { words: '/* recursion */', hitCondition: '== 3' },
        { words: '/* in add */', logMessage: 'adding {a} and {b}' },
      ),
    );
    const first = await client.stopped();
    assert.equal(await client.evaluate('n'), '3');
    assert.equal(client.output.console, 'adding 3 and 4\n');
    await client.request('continue', { threadId: first.threadId });
    await client.stopped();
    assert.equal(await client.evaluate('i'), '7');
    await client.request('continue', { threadId: first.threadId });
    assert.equal(await client.exitCode(), 0);
    await client.close();
  });

  it('refuses conditions it does not understand, with the place', async () => {
    const client = new TestClient();
    await client.launch({ program: program(), stopOnEntry: true }, async () => {
      const {
        breakpoints: [made],
      } = await breakpoints(client, { words: '/* loop */', condition: 'i ==' });
      assert.equal(made!.verified, false);
      assert.match(made!.message!, /ends too early \(column 5\)/);
      const answer = await client.request<{ breakpoints: { verified: boolean; message?: string }[] }>(
        'setExceptionBreakpoints',
        {
          filters: [],
          filterOptions: [{ filterId: 'vm-exit', condition: 'reason == EPT_VIOLATON' }],
        },
      );
      assert.deepEqual(
        answer.breakpoints.map(({ verified }) => verified),
        [false],
      );
      assert.match(
        answer.breakpoints[0]!.message!,
        /'EPT_VIOLATON' is not a value of 'reason'; did you mean EPT_VIOLATION.* \(column 11\)/,
      );
    });
    assert.equal((await client.stopped()).reason, 'entry');
    await client.close();
  });

  it('pauses an endless loop within 200 ms, shows it, changes it and lets it go', async () => {
    const client = new TestClient();
    await client.launch({ program: program(), args: ['s'] }, async () => {
      await breakpoints(client, { words: '/* spinning */' });
    });
    const { threadId } = await client.stopped();
    await breakpoints(client);
    let counter = 0;
    await within(200, async () => {
      await client.request('continue', { threadId });
      await new Promise((resolve) => setTimeout(resolve, 100));
      const started = performance.now();
      await client.request('pause', { threadId });
      const { reason } = await client.stopped();
      const milliseconds = performance.now() - started;
      assert.equal(reason, 'pause');
      const now = Number(await client.evaluate('counter'));
      assert.ok(now > counter, 'it has run');
      counter = now;
      return milliseconds;
    });
    assert.equal(await client.evaluate('spin = 0', 'repl'), '0');
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), 0);
    await client.close();
  });

  it('gives the program what is typed in the console, or a file, as standard input', async () => {
    const client = new TestClient();
    await client.launch({ program: program(), args: ['i'] });
    await written(client, '107');
    await client.request('evaluate', { expression: 'hello', context: 'repl' });
    await written(client, 'got hello\n');
    await client.close();

    const folder = mkdtempSync(join(tmpdir(), 'dune-stdin-'));
    writeFileSync(join(folder, 'input'), 'one\ntwo\n');
    const other = new TestClient();
    await other.launch({ program: program(), args: ['i'], stdin: join(folder, 'input') });
    assert.equal(await other.exitCode(), 0);
    assert.equal(other.output.stdout, '107 3 4\ngot one\ngot two\nend\n');
    rmSync(folder, { recursive: true });
    await other.close();
  });

  it('starts again', async () => {
    const client = new TestClient();
    await client.launch({ program: program() }, () => breakpoints(client, { words: '/* third */' }));
    await client.stopped();
    await client.request('restart');
    const { threadId } = await client.stopped();
    assert.equal(await client.evaluate('total'), '56');
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), 0);
    await client.close();
  });

  it('says what is wrong with a launch', async () => {
    const client = new TestClient();
    const why = async (args: object): Promise<string> => (await client.send('launch', args)).message ?? '';
    assert.match(await why({}), /no "program"/);
    assert.match(await why({ program: '/no/such/program' }), /does not exist/);
    assert.match(await why({ program: sourceOf('steps') }), /ELF/);
    assert.match(await why({ program: program(), physBits: 36 }), /"physBits"/);
    assert.match(await why({ program: program(), physBits: 49 }), /4-level EPT reaches 48/);
    assert.match(await why({ program: program(), syscalls: 'all' }), /"syscalls"/);
    assert.match(await why({ program: program(), stdin: '/no/such/file' }), /"stdin"/);
  });

  it('logs trapped system calls with the result ring 0 gave', async () => {
    const client = new TestClient();
    await client.launch({ program: example('syscalls') });
    assert.equal(await client.exitCode(), 0);
    const { events } = await client.request<{ events: { summary: string }[] }>('dune/events', {
      kinds: ['trapped-syscall'],
    });
    const calls = events.map(({ summary }) => summary);
    assert.match(calls[0]!, /^write\(1, "ring 3 says hello\\n", 18\) from ring 3 = 18$/);
    assert.match(calls[1]!, /^open\("\/etc\/passwd".*= -\d+$/);
    await client.close();
  });
});

/** A kernel of 32-bit code in the debugger: its frames by i386's call frame information and frame pointers, its variables by i386's registers. */
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestClient } from './client.ts';
import { lineOf, sourceOf } from './programs.ts';
import { frameText } from './transcript.ts';

const FLAGS =
  '-m32 -march=i686 -g -ffreestanding -fno-pie -no-pie -fno-stack-protector -nostdlib -static -Wl,-Ttext=0x100000,--build-id=none';
const STATUS = 20 + 9;
/** Of the source in assembly. */
const ASSEMBLY = sourceOf('narrow').replace(/c$/, 'S');
const CALL =
  readFileSync(ASSEMBLY, 'utf8')
    .split('\n')
    .findIndex((text) => text.includes('call kernel_main')) + 1;
const line = (words: string): number => lineOf('narrow', words);

describe('32-bit code in the debugger', () => {
  let client: TestClient;
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'dune-narrow-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  beforeEach(() => {
    client = new TestClient();
  });
  afterEach(() => client.close());

  function build(...flags: string[]): string {
    const path = join(folder, `kernel${flags.join('')}`);
    const sources = [ASSEMBLY, sourceOf('narrow')];
    execFileSync('gcc', [...FLAGS.split(' '), ...flags, '-o', path, ...sources], { stdio: 'pipe' });
    return path;
  }
  async function stopAt(words: string, program: string): Promise<number> {
    await client.launch({ program, machine: 'bare', memory: 64 }, () =>
      client.request('setBreakpoints', { source: { path: sourceOf('narrow') }, breakpoints: [{ line: line(words) }] }),
    );
    return (await client.stopped()).threadId;
  }
  const stack = async (thread: number): Promise<string[]> => (await client.frames(thread)).map(frameText);

  const variants: readonly (readonly [what: string, flags: readonly string[]])[] = [
    ['optimized', ['-O1']],
    ['not optimized', ['-O0']],
    ['optimized for size, arguments in registers', ['-Os', '-mregparm=3', '-fno-optimize-sibling-calls']],
  ];
  for (const [what, flags] of variants)
    it(`frames and variables of code that is ${what}`, async () => {
      const thread = await stopAt('/* adds */', build(...flags));
      assert.deepEqual((await stack(thread)).slice(0, 6), [
        `sum narrow.c:${line('/* adds */')}`,
        `depth narrow.c:${line('/* deepest */')}`,
        `depth narrow.c:${line('/* recursion */')}`,
        `depth narrow.c:${line('/* recursion */')}`,
        `kernel_main narrow.c:${line('/* calls */')}`,
        `_start narrow.S:${CALL}`,
      ]);
      const frames = await client.frames(thread);
      const value = (expression: string, frame = 0): Promise<string> =>
        client.evaluate(expression, 'watch', frames[frame]!.id);
      assert.equal(await value('list->value'), '10');
      assert.equal(await value('list->next->value'), '-20');
      assert.equal(await value('total'), '0');
      assert.match(await value('message'), /"narrow"/);
      assert.equal(await value('wide'), '-5');
      assert.equal(await value('sizeof(*list)'), '8');
      assert.equal(await value('nodes[2].value', 4), '30');
      await client.request('continue', { threadId: thread });
      await client.stopped();
      const locals = await client.scope(thread, 'Locals');
      assert.deepEqual(
        locals.filter(({ name }) => name === 'total').map((row) => row.value),
        ['10'],
      );
    });

  it('variables of outer frames are read and set where callees have saved them', async () => {
    const thread = await stopAt('/* adds */', build('-O0'));
    const frames = await client.frames(thread);
    assert.deepEqual(await Promise.all([1, 2, 3].map((frame) => client.evaluate('here', 'watch', frames[frame]!.id))), [
      '0',
      '3',
      '6',
    ]);
    await client.request('setExpression', { expression: 'here', value: '100', frameId: frames[3]!.id });
    await client.request('setBreakpoints', { source: { path: sourceOf('narrow') }, breakpoints: [] });
    await client.request('continue', { threadId: thread });
    assert.equal(await client.exitCode(), STATUS - 6 + 100);
  });

  it('steps out, frame by frame', async () => {
    const thread = await stopAt(
      '/* deepest */',
      build('-O1', '-fno-omit-frame-pointer', '-fno-asynchronous-unwind-tables'),
    );
    await client.request('setBreakpoints', { source: { path: sourceOf('narrow') }, breakpoints: [] });
    const out = async (): Promise<string> => {
      await client.request('stepOut', { threadId: thread });
      await client.stopped();
      return (await stack(thread))[0]!;
    };
    assert.equal(await out(), `depth narrow.c:${line('/* recursion */')}`);
    assert.equal(await out(), `depth narrow.c:${line('/* recursion */')}`);
    assert.match(await out(), /^kernel_main narrow\.c:/);
    await client.request('continue', { threadId: thread });
    assert.equal(await client.exitCode(), STATUS);
  });

  it('finds callers without call frame information by the frame pointer', async () => {
    const program = build('-O1', '-fno-omit-frame-pointer', '-fno-asynchronous-unwind-tables');
    execFileSync('objcopy', ['-R', '.eh_frame', '-R', '.debug_frame', program], { stdio: 'pipe' });
    const thread = await stopAt('/* adds */', program);
    const names = (await client.frames(thread)).map(({ name }) => name);
    assert.deepEqual(names.slice(0, 5), ['sum', 'depth', 'depth', 'depth', 'kernel_main']);
  });
});

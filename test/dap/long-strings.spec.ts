/** Stepping over string instructions that repeat long, and pausing in one that repeats for hours. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestClient } from './client.ts';

const SOURCE = `	.globl	_start
_start:
	lea	buffer(%rip), %rdi
	mov	$1000000, %ecx
	rep stosb			# short
	nop				# behind
	mov	$9, %eax		# a terabyte of zeros
	xor	%edi, %edi
	movabs	$0x10000000000, %rsi
	mov	$1, %edx
	mov	$0x4022, %r10d
	mov	$-1, %r8
	xor	%r9d, %r9d
	syscall
	mov	%rax, %rsi
	movabs	$0x10000000000, %rcx
	rep lodsb			# endless
	mov	$60, %eax		# over
	mov	$7, %edi
	syscall
	.bss
buffer:	.skip	1000000
`;
const lineOf = (words: string): number => SOURCE.split('\n').findIndex((line) => line.endsWith(words)) + 1;

describe('long string instructions', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dune-debug-strings-'));
  const program = join(folder, 'strings.s');
  before(() => writeFileSync(program, SOURCE));
  after(() => rmSync(folder, { recursive: true }));

  const setBreakpoints = (client: TestClient, words: readonly string[]): Promise<unknown> =>
    client.request('setBreakpoints', {
      source: { path: program },
      breakpoints: words.map((word) => ({ line: lineOf(word) })),
    });
  const launched = async (...words: string[]): Promise<{ client: TestClient; threadId: number }> => {
    const client = new TestClient();
    await client.launch({ program }, () => setBreakpoints(client, words));
    const { threadId } = await client.stopped();
    return { client, threadId };
  };
  const standsAt = async (client: TestClient, threadId: number, words: string): Promise<void> => {
    assert.equal((await client.frames(threadId, 1))[0]!.line, lineOf(words));
  };

  for (const command of ['next', 'stepIn'])
    for (const granularity of ['statement', 'instruction'])
      it(`${command} goes over one by ${granularity}`, async () => {
        const { client, threadId } = await launched('# short');
        await standsAt(client, threadId, '# short');
        await client.request(command, { threadId, granularity });
        assert.equal((await client.stopped()).reason, 'step');
        await standsAt(client, threadId, '# behind');
        assert.equal(await client.evaluate('$rcx'), '0');
        await client.close();
      });

  it('a breakpoint on one stops once', async () => {
    const { client, threadId } = await launched('# short', '# behind');
    await standsAt(client, threadId, '# short');
    await client.request('continue', { threadId });
    await client.stopped();
    await standsAt(client, threadId, '# behind');
    await client.close();
  });

  it('pause finds one that goes on for hours, and it can be changed', async () => {
    const { client, threadId } = await launched('# endless');
    let left = Number(await client.evaluate('$rcx'));
    assert.equal(left, 2 ** 40);
    for (const [command, granularity] of [
      ['continue', undefined],
      ['next', 'instruction'],
      ['next', 'statement'],
      ['stepIn', 'instruction'],
      ['continue', undefined],
    ] as const) {
      await client.request(command, { threadId, granularity });
      await new Promise((resolve) => setTimeout(resolve, 50));
      await client.request('pause', { threadId });
      assert.equal((await client.stopped()).reason, 'pause', command);
      await standsAt(client, threadId, '# endless');
      const now = Number(await client.evaluate('$rcx'));
      assert.ok(now < left && now > 0, `${now} after ${left}`);
      left = now;
    }
    assert.equal(await client.evaluate('$rcx = 5', 'repl'), '5');
    await client.request('next', { threadId });
    assert.equal((await client.stopped()).reason, 'step');
    await standsAt(client, threadId, '# over');
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), 7);
    await client.close();
  });
});

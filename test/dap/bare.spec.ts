import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TestClient } from './client.ts';

const examples = fileURLToPath(new URL('../../examples', import.meta.url));
const kernel = join(examples, 'bare-timer/bare-timer');
const source = join(examples, 'bare-timer/kernel.c');
const expected = readFileSync(join(examples, 'bare-timer/expected.txt'), 'utf8');
const STATUS = 3;

describe('a bare machine in the debugger', () => {
  let client: TestClient;
  before(function () {
    if (!existsSync(kernel)) execFileSync('make', ['-s', '-C', examples]);
  });
  beforeEach(() => {
    client = new TestClient();
  });
  afterEach(() => client.close());

  const line = (text: string): number =>
    readFileSync(source, 'utf8')
      .split('\n')
      .findIndex((candidate) => candidate.includes(text)) + 1;
  const breakAt = (text: string) => (one: TestClient) =>
    one.request('setBreakpoints', { source: { path: source }, breakpoints: [{ line: line(text) }] });

  it('shows the serial port as output and ends with the status of the debug exit', async () => {
    await client.launch({ program: kernel, machine: 'bare', memory: 64 });
    assert.equal(await client.exitCode(), STATUS);
    assert.equal(client.output.stdout, expected);
  });

  it('stops in an interrupt handler, with the interrupted code below it', async () => {
    await client.launch({ program: kernel, machine: 'bare', memory: 64 }, breakAt('ticks++;'));
    const { threadId } = await client.stopped();
    const { threads } = await client.request<{ threads: { name: string }[] }>('threads');
    assert.deepEqual(
      threads.map(({ name }) => name),
      ['CPU 0 (root, ring 0)'],
    );
    const names = (await client.frames(threadId)).map(({ name }) => name);
    assert.deepEqual(names, [
      'timer_tick',
      '[interrupt or exception in ring 0]',
      'wait_for_ticks',
      'kernel_main',
      'long_mode',
    ]);
    assert.equal(await client.evaluate('ticks'), '0');
    const privilege = await client.scope(threadId, 'Privilege');
    assert.equal(privilege.find(({ name }) => name === 'Mode')?.value, 'bare metal (VMX root, or no VMX)');
  });

  it('stops before a page fault of the kernel is delivered', async () => {
    await client.launch({ program: kernel, machine: 'bare', memory: 64 }, (one) =>
      one.request('setExceptionBreakpoints', { filters: ['page-fault'] }),
    );
    const { threadId, text } = await client.stopped();
    assert.match(text ?? '', /^#PF\(0x0\) at 0x123456789000/);
    assert.equal((await client.frames(threadId))[0]!.name, 'kernel_main');
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), STATUS);
  });

  it('debugs an ELF32 container of 64-bit code, by its own symbols or the .elf beside it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bare-'));
    try {
      const flat = join(folder, 'kernel.flat');
      execFileSync('objcopy', ['-O', 'elf32-i386', kernel, flat], { stdio: 'ignore' });
      await client.launch({ program: flat, machine: 'bare', memory: 64 }, breakAt('ticks++;'));
      assert.equal((await client.frames((await client.stopped()).threadId))[0]!.name, 'timer_tick');
      await client.close();
      client = new TestClient();
      execFileSync('objcopy', ['-g', flat], { stdio: 'ignore' });
      execFileSync('cp', [kernel, join(folder, 'kernel.elf')]);
      await client.launch({ program: flat, machine: 'bare', memory: 64 }, breakAt('print_number(ticks);'));
      const [frame] = await client.frames((await client.stopped()).threadId);
      assert.equal(frame!.name, 'kernel_main');
      assert.equal(frame!.line, line('print_number(ticks);'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('says what is wrong with a kernel that cannot be booted', async () => {
    await client.request('initialize', { adapterID: 'dune' });
    const response = await client.send('launch', { program: join(examples, 'hello/hello'), machine: 'bare' });
    assert.match(response.message ?? '', /no Multiboot header/);
  });
});

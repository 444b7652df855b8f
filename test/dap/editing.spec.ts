import assert from 'node:assert/strict';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { TestClient } from './client.ts';
import { compile, lineOf, sourceOf } from './programs.ts';

const line = (words: string): number => lineOf('steps', words);

describe('looking and changing', () => {
  let client: TestClient;
  let thread: number;
  beforeEach(async () => {
    client = new TestClient();
    await client.launch({ program: compile('steps', '-O0') }, () =>
      client.request('setBreakpoints', {
        source: { path: sourceOf('steps') },
        breakpoints: [{ line: line('/* print */') }],
      }),
    );
    ({ threadId: thread } = await client.stopped());
  });
  afterEach(() => client.close());

  async function scopeReference(name: string): Promise<number> {
    const [frame] = await client.frames(thread, 1);
    return (await client.scopes(frame!.id)).find((scope) => scope.name === name)!.variablesReference;
  }
  const set = async (variablesReference: number, name: string, value: string): Promise<string> =>
    (await client.request<{ value: string }>('setVariable', { variablesReference, name, value })).value;

  it('locals and members', async () => {
    const locals = await scopeReference('Locals');
    const rows = await client.variables(locals);
    assert.deepEqual(
      rows.map(({ name, value, type }) => ({ name, value, type })),
      [
        { name: 'at', value: '{x = 3, y = 4}', type: 'struct point' },
        { name: 'total', value: '107', type: 'int' },
      ],
    );
    assert.equal(await set(locals, 'total', 'at.x * 100'), '300');
    assert.equal(await set(rows[0]!.variablesReference, 'y', "'A'"), '65');
    assert.equal(await client.evaluate(rows[0]!.evaluateName!), '{x = 3, y = 65}');
    await client.request('continue', { threadId: thread });
    assert.equal(await client.exitCode(), 0);
    assert.equal(client.output.stdout, '300 3 65\nend\n');
  });

  it('registers, and single bits of them', async () => {
    const groups = await client.variables(await scopeReference('Registers'));
    const general = groups.find(({ name }) => name === 'General')!.variablesReference;
    assert.match(await set(general, 'rax', '0x1234'), /0x0*1234/);
    assert.equal(await client.evaluate('(long)$rax'), '4660');
    assert.equal(await client.evaluate('$al'), '52');
    const row = (await client.variables(general)).find(({ name }) => name === 'rflags')!;
    const flags = await client.variables(row.variablesReference);
    const zero = flags.find(({ name }) => name === 'ZF')!;
    await set(row.variablesReference, 'ZF', zero.value.startsWith('1') ? '0' : '1');
    const after = (await client.variables(general)).find(({ name }) => name === 'rflags')!;
    assert.notEqual(after.value, row.value);
    const refused = await client.send('setVariable', { variablesReference: general, name: 'rax', value: 'seven' });
    assert.equal(refused.success, false);
    assert.match(refused.message!, /'seven' is not a whole number/);
  });

  it('memory by the address of a variable', async () => {
    const { memoryReference } = await client.request<{ memoryReference: string }>('evaluate', {
      expression: 'at',
      context: 'watch',
    });
    const read = await client.request<{ data: string }>('readMemory', { memoryReference, count: 8 });
    assert.deepEqual([...Buffer.from(read.data, 'base64')], [3, 0, 0, 0, 4, 0, 0, 0]);
    await client.request('writeMemory', {
      memoryReference,
      offset: 4,
      data: Buffer.from([9, 0, 0, 0]).toString('base64'),
    });
    assert.equal(await client.evaluate('at.y'), '9');
    const nothing = await client.request<{ unreadableBytes: number }>('readMemory', {
      memoryReference: '0x10',
      count: 16,
    });
    assert.equal(nothing.unreadableBytes, 16);
  });

  it('expressions, hovers and formats', async () => {
    assert.equal(await client.evaluate('&at == (struct point *)&at.x', 'hover'), '1');
    assert.equal(await client.evaluate('total, x'), '0x6b');
    assert.equal(await client.evaluate('counter'), '1');
    assert.match(await client.evaluate('add'), /^0x[0-9a-f]+ <add>$/);
    assert.match(await client.evaluate('$cr3'), /PML4/);
    const answer = await client.request<{ value: string }>('setExpression', { expression: 'at.x', value: '7' });
    assert.equal(answer.value, '7');
  });

  it('disassembly, sources and lines with code', async () => {
    const rip = await client.evaluate('$rip');
    const { instructions } = await client.request<{ instructions: DebugProtocol.DisassembledInstruction[] }>(
      'disassemble',
      {
        memoryReference: rip,
        instructionOffset: -20,
        instructionCount: 60,
      },
    );
    assert.equal(instructions.length, 60);
    assert.equal(BigInt(instructions[20]!.address), BigInt(rip));
    assert.equal(instructions[20]!.line, line('/* print */'));
    const { sources } = await client.request<{ sources: DebugProtocol.Source[] }>('loadedSources');
    assert.ok(sources.some(({ path }) => path === sourceOf('steps')));
    const { breakpoints } = await client.request<{ breakpoints: { line: number }[] }>('breakpointLocations', {
      source: { path: sourceOf('steps') },
      line: line('/* first */'),
      endLine: line('/* third */'),
    });
    assert.deepEqual(
      breakpoints.map((found) => found.line),
      [line('/* first */'), line('/* second */'), line('/* third */')],
    );
  });

  it('the page walk of a chosen address', async () => {
    const reference = await scopeReference('Page walk');
    await set(reference, 'address', '&counter');
    const rows = await client.variables(reference);
    assert.equal(rows[0]!.value, (await client.evaluate('&counter')).split(' ')[0]);
    assert.match(rows[1]!.value, /^gpa:0x[0-9a-f]+ hpa:0x[0-9a-f]+, 4 KB page$/);
    assert.deepEqual(
      rows.slice(2).map(({ name }) => name),
      ['memory type', '1 PML4E', '2 PDPTE', '3 PDE', '4 PTE'],
    );
    assert.equal(rows[2]!.value, 'WB: PTE chooses PAT0, which is WB');
  });
});

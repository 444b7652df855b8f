import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { PageTableResponse, VmcsResponse, WalkResponse } from '../../debug-adapter/protocol.ts';
import { TestClient } from './client.ts';
import { frameText } from './transcript.ts';

const examples = fileURLToPath(new URL('../../examples', import.meta.url));
const folder = join(examples, 'tiny-hypervisor');
const program = join(folder, 'tiny-hypervisor');
const guest = join(folder, 'guest');
const expected = readFileSync(join(folder, 'expected.txt'), 'utf8');
const LAUNCH = { program, machine: 'bare', memory: 64, guestSymbols: [guest] };
const STATUS = 4;

function lineOf(file: string, text: string): number {
  const lines = readFileSync(join(folder, file), 'utf8').split('\n');
  const line = lines.findIndex((candidate) => candidate.includes(text)) + 1;
  if (line === 0) throw new Error(`${file} has no line with '${text}'`);
  return line;
}

describe('a hypervisor and its guest in the debugger', () => {
  let client: TestClient;
  before(function () {
    if (!existsSync(program)) execFileSync('make', ['-s', '-C', examples]);
  });
  beforeEach(() => {
    client = new TestClient();
  });
  afterEach(() => client.close());

  const breakAt = (file: string, ...texts: string[]): Promise<{ breakpoints: DebugProtocol.Breakpoint[] }> =>
    client.request('setBreakpoints', {
      source: { path: join(folder, file) },
      breakpoints: texts.map((text) => ({ line: lineOf(file, text) })),
    });
  const stack = async (thread: number): Promise<string[]> => (await client.frames(thread)).map(frameText);
  const step = async (command: 'next' | 'stepIn' | 'stepOut', threadId: number): Promise<string> => {
    await client.request(command, { threadId });
    const stopped = await client.stopped();
    return (await stack(stopped.threadId))[0]!;
  };
  const at = (file: string, text: string, name: string): string => `${name} ${file}:${lineOf(file, text)}`;
  const value = async (frame: DebugProtocol.StackFrame, expression: string): Promise<string> =>
    client.evaluate(expression, 'watch', frame.id);
  const memory = async (memoryReference: string, count: number): Promise<Buffer> => {
    const { data } = await client.request<{ data: string }>('readMemory', { memoryReference, count });
    return Buffer.from(data, 'base64');
  };

  it('prints from both levels and ends with the status of the debug exit', async () => {
    await client.launch(LAUNCH);
    assert.equal(await client.exitCode(), STATUS);
    assert.equal(client.output.stdout, expected);
  });

  it('shows the frames of the guest, and below them those of the hypervisor that entered it', async () => {
    await client.launch(LAUNCH, () => breakAt('guest.c', 'total += list->value'));
    const { threadId } = await client.stopped();
    const { threads } = await client.request<{ threads: { name: string }[] }>('threads');
    assert.deepEqual(
      threads.map(({ name }) => name),
      ['CPU 0 (guest, ring 0)'],
    );
    const frames = await client.frames(threadId);
    assert.deepEqual(frames.map(frameText), [
      at('guest.c', 'total += list->value', 'sum'),
      at('guest.c', 'hypercall(HYPERCALL_REPORT, sum(list))', 'guest_main'),
      at('guest.S', 'call guest_main', 'guest_start'),
      '[VM exits lead to the hypervisor]',
      at('boot.S', 'pushq %rdi', 'enter_guest').replace(/\d+$/, `${lineOf('boot.S', 'vm_exit:') + 1}`),
      at('hypervisor.c', 'if (enter_guest(', 'run_guest'),
      at('hypervisor.c', 'int status = run_guest', 'hypervisor_main'),
      at('boot.S', 'call hypervisor_main', 'long_mode'),
    ]);
    const [sum, main] = frames as [DebugProtocol.StackFrame, DebugProtocol.StackFrame];
    const runGuest = frames[5]!;
    // Variables of either level, through its own tables.
    assert.equal(await value(sum, 'list->value'), '16');
    assert.equal(await value(main, '(char *)name').then((text) => /"tiny-hyperv"/.test(text)), true);
    assert.equal(await value(runGuest, 'guest.pages'), '5');
    assert.equal(await value(runGuest, 'guest.launched'), '1');
    assert.match((await client.send('evaluate', { expression: 'pool_used', frameId: sum.id })).message!, /pool_used/);
    // The same address on both levels: the guest's own tables are where GUEST_TABLES says; the hypervisor has its low memory there.
    assert.notDeepEqual(await memory('host:0x100000', 16), await memory('0x100000', 16));
    assert.deepEqual(await memory('guest:0x100000', 16), await memory('0x100000', 16));
    assert.deepEqual(await memory('host:0x100000', 16), await memory('hpa:0x100000', 16));
    const image = await value(runGuest, '&guest_memory[0x10000]').then((text) => /0x[0-9a-f]+/.exec(text)![0]);
    assert.deepEqual(await memory(`host:${image}`, 64), await memory('gpa:0x10000', 64));
    assert.equal(await value(sum, `host:${image}`), await value(sum, 'guest:0xffffffff80010000'));
    // References lead to the memory of the frame they are of.
    const { memoryReference } = await client.request<{ memoryReference: string }>('evaluate', {
      expression: '&guest',
      frameId: runGuest.id,
    });
    assert.match(memoryReference, /^host:0x/);
  });

  it('shows registers, tables, walks and the VMCS of both levels', async () => {
    await client.launch(LAUNCH, () => breakAt('guest.c', 'total += list->value'));
    const { threadId } = await client.stopped();
    const frames = await client.frames(threadId);
    const registers = async (frame: number, group: string): Promise<Map<string, string>> => {
      const scope = (await client.scopes(frames[frame]!.id)).find(({ name }) => name === 'Registers')!;
      const groups = await client.variables(scope.variablesReference);
      const rows = await client.variables(groups.find(({ name }) => name === group)!.variablesReference);
      return new Map(rows.map((row) => [row.name, row.value]));
    };
    assert.match((await registers(0, 'Control')).get('cr3')!, /^0x0*10000\b/);
    const host = await registers(5, 'Control');
    assert.notEqual(host.get('cr3'), (await registers(0, 'Control')).get('cr3'));
    assert.match((await registers(5, 'General')).get('rip')!, /^0x00000000001/);
    assert.match((await registers(4, 'General')).get('rax')!, /of the level that runs/);
    assert.match((await registers(5, 'General')).get('rbx')!, /^0x/);
    assert.match(await value(frames[0]!, '$cr3'), /^0x0*10000\b/);
    assert.equal(await value(frames[5]!, '$cr3'), host.get('cr3'));
    const { fields } = await client.request<VmcsResponse>('dune/vmcs', { threadId });
    const field = (encoding: number): bigint => BigInt(fields.find((one) => one.encoding === encoding)!.value);
    assert.equal(field(0x6c02), BigInt(/^0x[0-9a-f]+/.exec(host.get('cr3')!)![0]));

    const table = (which: string): Promise<PageTableResponse> => client.request('dune/pageTable', { threadId, which });
    const [own, ept, other] = [await table('guest'), await table('ept'), await table('other')];
    assert.equal(own.root, 'CR3 0x10000');
    assert.equal(own.nodes.at(-1)!.last, '0xffffffffffffffff');
    assert.equal(BigInt(ept.root.replace('EPTP ', '')), field(0x201a));
    assert.equal(other.whose, 'the hypervisor');
    assert.equal(BigInt(other.root.replace('CR3 ', '')), field(0x6c02));
    assert.equal(other.nodes.length, 1);
    const walk = (address: string): Promise<WalkResponse> => client.request('dune/walk', { threadId, address });
    const guestWalk = await walk('$rip');
    assert.equal(guestWalk.gpa, `0x${(BigInt(guestWalk.gva) - 0xffffffff80000000n).toString(16)}`);
    assert.ok(guestWalk.steps.some((one) => one.table === 'ept'));
    const hostWalk = await walk('host:0x100000');
    assert.equal(hostWalk.hpa, '0x100000');
    assert.ok(hostWalk.steps.every((one) => one.table === 'guest'));
  });

  it('disassembles either level', async () => {
    await client.launch(LAUNCH, () => breakAt('guest.c', 'total += list->value'));
    const { threadId } = await client.stopped();
    const frames = await client.frames(threadId);
    const disassembly = async (frame: number): Promise<DebugProtocol.DisassembledInstruction[]> => {
      const memoryReference = frames[frame]!.instructionPointerReference;
      const body = await client.request<DebugProtocol.DisassembleResponse['body']>('disassemble', {
        memoryReference,
        instructionOffset: -2,
        instructionCount: 6,
      });
      return body!.instructions;
    };
    assert.match(frames[4]!.instructionPointerReference!, /^host:/);
    const [vmresume] = (await disassembly(4)).filter(({ instruction }) => instruction.startsWith('vm'));
    assert.equal(vmresume, undefined, 'two instructions before vm_exit are a move and a jump');
    assert.equal((await disassembly(4))[2]!.line, lineOf('boot.S', 'vm_exit:') + 1);
    assert.equal((await disassembly(4))[2]!.instruction, 'push %rdi');
    assert.equal((await disassembly(0))[2]!.location?.name, 'guest.c');
  });

  it('steps over VMLAUNCH into the guest, from an exit into the handler, and over exits in the guest', async () => {
    await client.launch(LAUNCH, async () => {
      const { breakpoints } = await breakAt('boot.S', '    vmlaunch');
      assert.deepEqual(
        breakpoints.map(({ verified }) => verified),
        [true],
      );
    });
    const { threadId } = await client.stopped();
    assert.equal((await stack(threadId))[0], at('boot.S', '    vmlaunch', 'enter_guest'));
    assert.equal(await step('next', threadId), at('guest.S', 'leaq stack_top', 'guest_start'));
    await breakAt('guest.c', '"cpuid"', 'print("guest: this is ")');
    await client.request('continue', { threadId });
    await client.stopped();
    // Over an instruction that exits, and over a call full of exits.
    assert.equal(await step('next', threadId), at('guest.c', 'name[3] = 0', 'hypervisor_name'));
    await client.request('continue', { threadId });
    await client.stopped();
    assert.equal(await step('next', threadId), at('guest.c', 'print((const char *)name)', 'guest_main'));
    // Into one, up to the instruction, and with it into the hypervisor.
    await breakAt('guest.c', 'node->value = i * i');
    await client.request('continue', { threadId });
    await client.stopped();
    assert.equal(await step('stepIn', threadId), `enter_guest boot.S:${lineOf('boot.S', 'vm_exit:') + 1}`);
    const inHandler = await stack(threadId);
    assert.deepEqual(inHandler.slice(1, 4), [
      at('hypervisor.c', 'if (enter_guest(', 'run_guest'),
      at('hypervisor.c', 'int status = run_guest', 'hypervisor_main'),
      at('boot.S', 'call hypervisor_main', 'long_mode'),
    ]);
    assert.equal(inHandler[4], '[guest: last exit EPT_VIOLATION]');
    assert.equal(inHandler[5], at('guest.c', 'node->value = i * i', 'make_list'));
    assert.equal(await step('stepOut', threadId), at('hypervisor.c', 'if (enter_guest(', 'run_guest'));
    // From the handler the guest can be looked at.
    const frames = await client.frames(threadId);
    const guestFrame = frames.find(({ source }) => source?.name === 'guest.c')!;
    assert.equal(await value(guestFrame, 'lines'), '4');
    const { whose } = await client.request<PageTableResponse>('dune/pageTable', { threadId, which: 'other' });
    assert.equal(whose, 'the guest');
    assert.equal(
      (await client.request<PageTableResponse>('dune/pageTable', { threadId, which: 'ept' })).nodes.length,
      1,
    );
    // Back: VMRESUME is stepped over into the guest.
    await breakAt('guest.c');
    await breakAt('boot.S', '1:  vmresume');
    await client.request('continue', { threadId });
    await client.stopped();
    assert.equal(await step('next', threadId), at('guest.c', 'node->value = i * i', 'make_list'));
    await breakAt('boot.S');
    // Out of the guest's outermost frame is to the hypervisor, at the next exit.
    await breakAt('guest.c', 'return pages == NODES');
    await client.request('continue', { threadId });
    await client.stopped();
    assert.equal(await step('stepOut', threadId), at('guest.S', 'movl %eax, %edi', 'guest_start'));
    assert.equal(await step('stepOut', threadId), `enter_guest boot.S:${lineOf('boot.S', 'vm_exit:') + 1}`);
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), STATUS);
  });

  it('steps over VMRESUME to the exit where the guest has no symbols', async () => {
    await client.launch({ ...LAUNCH, guestSymbols: [] }, () => breakAt('boot.S', '    vmlaunch'));
    const { threadId } = await client.stopped();
    assert.equal(await step('next', threadId), `enter_guest boot.S:${lineOf('boot.S', 'vm_exit:') + 1}`);
    const frames = await stack(threadId);
    assert.match(frames.at(-2)!, /^\[guest: last exit IO_INSTRUCTION\]$/);
    assert.match(frames.at(-1)!, /^0xffffffff8002/);
  });

  it('takes symbols of a guest that runs elsewhere than it was linked', async () => {
    const guestSymbols = [{ path: guest, offset: '0x80000000' }];
    await client.launch({ ...LAUNCH, guestSymbols }, async () => {
      await client.request('setFunctionBreakpoints', { breakpoints: [{ name: 'guest_main' }] });
    });
    // Linked at -2 GB, that is at 0: nothing comes there.
    assert.equal(await client.exitCode(), STATUS);
    await client.close();
    client = new TestClient();
    await client.request('initialize', { adapterID: 'dune' });
    const response = await client.send('launch', { ...LAUNCH, guestSymbols: ['nowhere'] });
    assert.match(response.message!, /nowhere of "guestSymbols" does not exist/);
  });
});

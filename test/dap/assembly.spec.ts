/** An assembly source is a program: it is assembled and linked in memory and debugged by its lines. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestClient } from './client.ts';

const EXAMPLES = join(import.meta.dirname, '../../examples');
const source = (name: string): string => join(EXAMPLES, name, `${name}.s`);
/** The line, from 1, that has these words. */
function lineOf(path: string, words: string): number {
  const index = readFileSync(path, 'utf8')
    .split('\n')
    .findIndex((line) => line.includes(words));
  assert.ok(index >= 0, words);
  return index + 1;
}

describe('assembly sources', () => {
  it('run in Dune mode and stop at their lines', async () => {
    const program = source('asm-pagefault');
    const client = new TestClient();
    const lines = ['mov	%cr2, %rax', 'mov	(%rbx), %r12d'].map((words) => lineOf(program, words));
    await client.launch({ program }, () =>
      client.request('setBreakpoints', { source: { path: program }, breakpoints: lines.map((line) => ({ line })) }),
    );
    const { threadId } = await client.stopped();
    const [inHandler] = await client.frames(threadId, 1);
    assert.deepEqual({ name: inHandler!.name, line: inHandler!.line }, { name: 'page_fault', line: lines[0] });
    assert.match(await client.evaluate('$cr2'), /40000000/);
    await client.request('next', { threadId });
    await client.stopped();
    assert.equal(await client.evaluate('$rax'), String(0x40000000));
    await client.request('continue', { threadId });
    await client.stopped();
    const [after] = await client.frames(threadId, 1);
    assert.deepEqual({ name: after!.name, line: after!.line }, { name: 'dune_start', line: lines[1] });
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), 42);
    assert.equal(client.output.stdout, 'a page fault was handled in ring 0\n');
    await client.close();
  });

  it('go to ring 3 and back', async () => {
    const client = new TestClient();
    await client.launch({ program: source('asm-rings') });
    assert.equal(await client.exitCode(), 5);
    assert.equal(client.output.stdout, 'hello from ring 3\nring 3 was refused a page of ring 0\n');
    await client.close();
  });

  it('stop at lines of what they include', async () => {
    const included = join(EXAMPLES, 'asm-common/dune.inc');
    const line = lineOf(included, 'mov	$DUNE_ENTER, %esi');
    const client = new TestClient();
    await client.launch({ program: source('asm-rings') }, () =>
      client.request('setBreakpoints', { source: { path: included }, breakpoints: [{ line }] }),
    );
    const { threadId } = await client.stopped();
    const [frame] = await client.frames(threadId, 1);
    assert.deepEqual({ name: frame!.name, line: frame!.line }, { name: '_start', line });
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), 5);
    await client.close();
  });

  it('are linked with libdune, without a C library', async () => {
    const program = source('asm-libdune');
    const line = lineOf(program, 'incl	faults(%rip)');
    const client = new TestClient();
    await client.launch({ program, libraries: ['libdune'] }, () =>
      client.request('setBreakpoints', { source: { path: program }, breakpoints: [{ line }] }),
    );
    const { threadId } = await client.stopped();
    const frames = await client.frames(threadId, 8);
    assert.ok(
      frames.some(({ name }) => name === 'main'),
      frames.map(({ name }) => name).join(),
    );
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), 42);
    assert.equal(client.output.stdout, 'page fault at 0x5000000000, error code 2\n42 is there, after 1 page fault\n');
    await client.close();
  });

  it('are preprocessed, with what the include path has', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dune-debug-asm-'));
    const program = join(folder, 'program.S');
    mkdirSync(join(folder, 'include'));
    writeFileSync(join(folder, 'include/status.h'), '#define EXIT(status) mov $60, %eax; mov $status, %edi; syscall\n');
    writeFileSync(program, '#include <status.h>\n\t.globl _start\n_start:\n\tEXIT(7)\n');
    const client = new TestClient();
    await client.launch({ program, cwd: folder, includePath: ['include'] }, () => Promise.resolve());
    assert.equal(await client.exitCode(), 7);
    await client.close();
    rmSync(folder, { recursive: true });
  });

  it('show what is under the mouse: values, and page walks in one line', async () => {
    const program = source('asm-pagefault');
    const client = new TestClient();
    const line = lineOf(program, 'mov	%cr2, %rax');
    await client.launch({ program }, () =>
      client.request('setBreakpoints', { source: { path: program }, breakpoints: [{ line }] }),
    );
    const { threadId } = await client.stopped();
    const [frame] = await client.frames(threadId, 1);
    const hover = async (expression: string): Promise<string> =>
      (await client.request<{ result: string }>('evaluate', { expression, context: 'hover', frameId: frame!.id }))
        .result;
    const walked =
      /^0x[0-9a-f]{16} {4}(at 0x[0-9a-f]+: )?PML4E R W .*→ PDPTE .* → gpa:0x[0-9a-f]+ hpa:0x[0-9a-f]+, \d [KMG]B page$/;
    assert.match(await hover('*(unsigned long *)($rsp + 8)'), walked);
    assert.match(await hover('$rsp'), walked);
    assert.match(await hover('*(unsigned long *)((unsigned long)&gdt)'), walked);
    assert.match(
      await hover('*(unsigned long *)(0x40000000)'),
      /^no memory {4}at 0x40000000: PML4E .* → page fault, error code 0x0/,
    );
    assert.match(await hover('$cr2'), /^0x0000000040000000 /);
    await client.close();
  });

  it('are unwound by their .cfi_ directives', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dune-debug-asm-'));
    const program = join(folder, 'frames.s');
    const lines = [
      ...['\t.globl _start', '\t.type _start, @function', '_start:', '\tcall outer', '\tmov $60, %eax', '\tsyscall'],
      ...['\t.type outer, @function', 'outer:\t.cfi_startproc', '\tsub $40, %rsp', '\t.cfi_adjust_cfa_offset 40'],
      ...['\tcall inner', '\tadd $40, %rsp', '\t.cfi_adjust_cfa_offset -40', '\tret', '\t.cfi_endproc'],
      ...['\t.type inner, @function', 'inner:\t.cfi_startproc', '\tpush %rbx', '\t.cfi_def_cfa_offset 16'],
      ...['\t.cfi_offset %rbx, -16', '\tpush $0', '\t.cfi_adjust_cfa_offset 8', '\txor %edi, %edi', '\tadd $8, %rsp'],
      ...['\t.cfi_adjust_cfa_offset -8', '\tpop %rbx', '\t.cfi_def_cfa_offset 8', '\tret', '\t.cfi_endproc', ''],
    ];
    writeFileSync(program, lines.join('\n'));
    const client = new TestClient();
    const line = lineOf(program, 'xor');
    await client.launch({ program }, () =>
      client.request('setBreakpoints', { source: { path: program }, breakpoints: [{ line }] }),
    );
    const { threadId } = await client.stopped();
    const frames = await client.frames(threadId, 3);
    assert.deepEqual(
      frames.map(({ name, line: at }) => ({ name: name.replace(/\+.*/, ''), line: at })),
      [
        { name: 'inner', line },
        { name: 'outer', line: lineOf(program, 'call inner') },
        { name: '_start', line: lineOf(program, 'call outer') },
      ],
    );
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), 0);
    await client.close();
    rmSync(folder, { recursive: true });
  });

  it('that are wrong say where', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dune-debug-asm-'));
    const program = join(folder, 'wrong.s');
    writeFileSync(program, '\t.globl _start\n_start:\n\tmvo %eax, %ebx\n\tmov %rax, %ebx\n');
    const client = new TestClient();
    await client.request('initialize', { adapterID: 'dune' });
    const wrong = await client.send('launch', { program });
    assert.equal(
      wrong.message,
      'The source cannot be assembled.\nwrong.s:3: `mvo` is not an instruction that is known\nwrong.s:4: `mov` does not take these operands (ebx, rax)',
    );
    writeFileSync(program, '\t.globl _start\n_start:\n\tcall dune_init\n');
    const missing = await client.send('launch', { program });
    assert.match(
      missing.message!,
      /^The program cannot be linked: nothing defines `dune_init`; .*wrong\.s needs it: add the object or archive that has it\.$/,
    );
    await client.close();
    rmSync(folder, { recursive: true });
  });
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const CLI = join(ROOT, 'dist/cli.mjs');

describe('dune-debug as', function () {
  this.timeout(60_000);
  const folder = mkdtempSync(join(tmpdir(), 'dune-debug-as-cli-'));
  after(() => rmSync(folder, { recursive: true }));
  const cli = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [CLI, ...args], { cwd: folder, encoding: 'utf8' });

  it('makes a program that runs in the emulator', () => {
    writeFileSync(
      join(folder, 'hello.s'),
      `	.globl _start
_start:
	mov	$1, %eax
	mov	$1, %edi
	lea	message(%rip), %rsi
	mov	$length, %edx
	syscall
	mov	$60, %eax
	mov	$7, %edi
	syscall
	.section .rodata
message: .ascii "assembled\\n"
	.set length, . - message
`,
    );
    assert.deepEqual(pick(cli('as', 'hello.s')), { status: 0, stderr: '' });
    const { status, stdout } = cli('run', 'hello');
    assert.deepEqual({ status, stdout }, { status: 7, stdout: 'assembled\n' });
  });

  it('links libdune without a C library', () => {
    assert.deepEqual(pick(cli('as', '-o', 'fault', join(ROOT, 'examples/asm-libdune/asm-libdune.s'), '-ldune')), {
      status: 0,
      stderr: '',
    });
    const { status, stdout } = cli('run', 'fault');
    const lines = ['page fault at 0x5000000000, error code 2', '42 is there, after 1 page fault', ''];
    assert.deepEqual({ status, stdout }, { status: 42, stdout: lines.join('\n') });
  });

  it('says where a source is wrong, and what is missing', () => {
    writeFileSync(join(folder, 'wrong.s'), '\tmvo %eax, %ebx\n');
    assert.deepEqual(pick(cli('as', 'wrong.s')), {
      status: 1,
      stderr: 'wrong.s:1:2: error: `mvo` is not an instruction that is known\n',
    });
    writeFileSync(join(folder, 'call.s'), '\t.globl _start\n_start: call f\n');
    assert.deepEqual(pick(cli('as', 'call.s')), {
      status: 1,
      stderr: 'dune-debug: nothing defines `f`; call.s needs it: add the object or archive that has it\n',
    });
    assert.deepEqual(pick(cli('as', 'none.s')), { status: 2, stderr: 'dune-debug: none.s cannot be read: ENOENT.\n' });
    assert.deepEqual(pick(cli('as')), {
      status: 2,
      stderr: 'dune-debug: name a source to assemble; see "dune-debug as --help".\n',
    });
  });
});

function pick({ status, stderr }: { status: number | null; stderr: string }): {
  status: number | null;
  stderr: string;
} {
  return { status, stderr };
}

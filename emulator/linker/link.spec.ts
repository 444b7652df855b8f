/** Programs linked by our linker run natively as those of GNU ld do. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assembleObject } from '../assembler/index.ts';
import { link, LinkError } from './link.ts';
import type { LinkInput } from './link.ts';

const ROOT = join(import.meta.dirname, '../..');
const MUSL = '/usr/lib/x86_64-linux-musl';

function object(name: string, source: string): LinkInput {
  const { object: bytes, diagnostics } = assembleObject(name, source);
  assert.deepEqual(diagnostics, []);
  return { name, bytes: bytes! };
}

const EXIT = '\tmov $60, %eax\n\tsyscall\n';
const START = '\t.globl _start\n_start:\n';

describe('linker', function () {
  this.timeout(60_000);
  const folder = mkdtempSync(join(tmpdir(), 'dune-debug-link-'));
  after(() => rmSync(folder, { recursive: true }));

  const run = (image: Uint8Array): { status: number | null; output: string } => {
    const path = join(folder, 'program');
    writeFileSync(path, image, { mode: 0o755 });
    const { status, stdout } = spawnSync(path, { encoding: 'utf8', timeout: 20_000 });
    return { status, output: stdout };
  };
  const failure = (...inputs: LinkInput[]): string => {
    try {
      link(inputs);
    } catch (error) {
      assert.ok(error instanceof LinkError, (error as Error).stack);
      return error.message;
    }
    return 'linked';
  };
  /** An archive made by hand. */
  const archive = (name: string, ...members: LinkInput[]): LinkInput => {
    const parts: Uint8Array[] = [new TextEncoder().encode('!<arch>\n')];
    for (const { name: member, bytes } of members) {
      const header = `${`${member}/`.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'644'.padEnd(8)}${String(bytes.length).padEnd(10)}\`\n`;
      parts.push(new TextEncoder().encode(header), bytes, new Uint8Array(bytes.length & 1));
    }
    return { name, bytes: Buffer.concat(parts) };
  };

  it('joins code, data, space, commons, the offset table and thread-local storage', () => {
    const main = object(
      'main.s',
      `${START}
	mov	counter(%rip), %edi
	add	space(%rip), %edi
	movq	other@GOTPCREL(%rip), %rax
	add	(%rax), %edi
	add	shared+4, %edi
	call	add_one
	lea	tls_end@tpoff, %rax
	sub	$tls_value@tpoff, %rax
	add	%eax, %edi
${EXIT}
	.data
counter: .long 30
	.bss
space:	.zero 4
	.comm shared, 8, 8
	.section .tdata, "awT", @progbits
tls_value: .long 1
tls_end: .long 2
`,
    );
    const helper = object(
      'helper.s',
      '\t.globl add_one, other\nadd_one: inc %edi\n\tret\n\t.section .rodata\nother: .long 7\n',
    );
    assert.deepEqual(run(link([main, helper])), { status: 30 + 7 + 1 + 4, output: '' });
  });

  it('takes from an archive what is wanted, and what that wants', () => {
    const main = object('main.s', `${START}\tcall first\n${EXIT}`);
    const library = archive(
      'lib.a',
      object('unused.s', '\t.globl unused\nunused: .quad nowhere\n'),
      object('second.s', '\t.globl second\nsecond: mov $42, %edi\n\tret\n'),
      object('first.s', '\t.globl first\nfirst: jmp second\n'),
    );
    assert.equal(run(link([main, library])).status, 42);
  });

  it('prefers strong definitions to weak ones, and resolves absent weak names to 0', () => {
    const main = object(
      'main.s',
      `${START}\tcall f\n\tlea absent, %rax\n\tadd %eax, %edi\n${EXIT}\t.weak f, absent\nf: mov $1, %edi\n\tret\n`,
    );
    const strong = object('strong.s', '\t.globl f\nf: mov $2, %edi\n\tret\n');
    assert.equal(run(link([main])).status, 1);
    assert.equal(run(link([main, strong])).status, 2);
  });

  for (const program of ['sha', 'json', 'trap'])
    it(`links ${program} with musl`, function () {
      if (!existsSync(MUSL)) this.skip();
      const path = join(folder, `${program}.o`);
      execFileSync('musl-gcc', ['-O1', '-g', '-c', '-o', path, join(ROOT, 'bench/programs', `${program}.c`)]);
      const input = (file: string): LinkInput => ({ name: file, bytes: readFileSync(file) });
      const libc = ['crt1.o', 'crti.o'].map((name) => input(join(MUSL, name)));
      const image = link([...libc, input(path), input(join(MUSL, 'libc.a')), input(join(MUSL, 'crtn.o'))]);
      const { status, output } = run(image);
      assert.equal(status, 0);
      assert.match(output, new RegExp(`^B ${program} `));
      assert.match(
        execFileSync('readelf', ['--debug-dump=info', join(folder, 'program')], { encoding: 'utf8' }),
        /DW_AT_name.*main/,
      );
    });

  it('says what is wrong with its inputs', () => {
    const start = object('start.s', `${START}\tcall nowhere\n`);
    assert.equal(failure(start), 'nothing defines `nowhere`; start.s needs it: add the object or archive that has it');
    const empty = object('empty.s', '\tnop\n');
    assert.equal(
      failure(empty),
      'there is no `_start`: a program begins at the global label of that name (`.globl _start`)',
    );
    const twice = object('a.s', `${START}\tnop\n`);
    assert.equal(failure(twice, { ...twice, name: 'b.s' }), 'b.s: `_start` is defined here and in a.s');
    assert.equal(failure({ name: 'x', bytes: new Uint8Array(3) }), 'x: this is neither an ELF object nor an archive');
    assert.equal(
      failure({ name: 'x', bytes: link([twice]) }),
      'x: this is a linked program, not an object; link its .o files instead',
    );
    const far = object('far.s', `${START}\tmovb $value, %al\n`);
    const value = object('value.s', '\t.globl value\nvalue = 0x1234\n');
    assert.equal(failure(far, value), 'far.s: in .text at 0x1, `value`: the value 0x1234 does not fit in 1 byte');
  });

  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
  it(`survives damaged objects (SEED=${seed})`, () => {
    const good = object(
      'good.s',
      `${START}\tcall f\n\tmov x(%rip), %eax\n${EXIT}f: ret\n\t.data\nx: .quad f, x, _start\n`,
    );
    let state = seed >>> 0;
    const below = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    for (let round = 0; round < 2000; round++) {
      const bytes = good.bytes.slice(0, below(8) === 0 ? below(good.bytes.length) : undefined);
      for (let i = below(4); i >= 0 && bytes.length > 0; i--) bytes[below(bytes.length)] = below(256);
      failure({ name: 'damaged.o', bytes });
    }
  });
});

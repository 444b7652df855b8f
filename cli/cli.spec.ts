/** `dune-debug` as a child process over the built bundle. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bundle = join(root, 'dist/cli.mjs');
const example = (name: string): string => join(root, 'examples', name, name);
const hello = example('hello');

interface Outcome {
  readonly out: string;
  readonly err: string;
  readonly status: number;
}

let folder = '';
function dune(args: readonly string[], input = ''): Outcome {
  const done = spawnSync(process.execPath, [bundle, ...args], { input, encoding: 'utf8', cwd: folder });
  assert.equal(done.signal, null, `${args.join(' ')}: ${done.stderr}`);
  return { out: done.stdout, err: done.stderr, status: done.status! };
}
const run = (...args: string[]): Outcome => dune(['run', ...args]);

/** The last line of standard error, as --stats leaves it. */
function statsOf({ err }: Outcome): { instructions: number; cycles: number; exits: Record<string, number> } {
  return JSON.parse(err.trimEnd().split('\n').at(-1)!) as ReturnType<typeof statsOf>;
}

function compile(name: string, source: string): string {
  const path = join(folder, name);
  writeFileSync(`${path}.c`, source);
  execFileSync('gcc', ['-O1', '-static', '-o', path, `${path}.c`], { stdio: 'pipe' });
  return path;
}

const GREETING = 'hello from Linux mode\nhello from Dune mode, ring 0\n';

describe('dune-debug', function () {
  before(function () {
    if (spawnSync('gcc', ['--version']).status !== 0) return this.skip();
    folder = mkdtempSync(join(tmpdir(), 'dune-debug-cli-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  describe('profile', () => {
    const source = `static volatile long sum;
__attribute__((noinline)) void inner(long n) { for (long i = 0; i < n; i++) sum += i ^ n; }
__attribute__((noinline)) void rare(void) { inner(3000); sum++; }
__attribute__((noinline)) void often(void) { inner(27000); sum++; }
int main(void) { for (int i = 0; i < 30; i++) { rare(); often(); } return 3; }
`;
    const percentOf = (table: string, name: string): [number, number] => {
      const row = new RegExp(`^ *([0-9.]+) % +([0-9.]+) % {2}${name}$`, 'm').exec(table);
      assert.ok(row, `${name} in\n${table}`);
      return [Number(row[1]), Number(row[2])];
    };

    it('says where instructions went, the same every time', () => {
      const path = compile('profiled', source);
      const files = ['--folded', join(folder, 'folded'), '--cpuprofile', join(folder, 'cpuprofile')];
      const first = dune(['profile', '--interval', '2003', ...files, path]);
      assert.equal(first.status, 3);
      assert.equal(dune(['profile', '--interval', '2003', path]).err, first.err);
      const [inner] = percentOf(first.err, 'inner');
      const [own, often] = percentOf(first.err, 'often');
      const [, rare] = percentOf(first.err, 'rare');
      assert.ok(inner > 95 && own < 1, first.err);
      assert.ok(often > 85 && often < 92 && rare > 8 && rare < 12, first.err);
      const samples = Number(/ (\S+) samples/.exec(first.err)![1]!.replaceAll(',', ''));
      const folded = readFileSync(join(folder, 'folded'), 'utf8').trimEnd().split('\n');
      assert.equal(
        folded.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0),
        samples,
      );
      assert.ok(
        folded.some((line) => /^\[Linux mode, ring 3\];.*;main;often;inner \d+$/.test(line)),
        folded.join('\n'),
      );
      const { nodes, samples: path2 } = JSON.parse(readFileSync(join(folder, 'cpuprofile'), 'utf8')) as {
        nodes: { id: number; children: number[]; callFrame: { functionName: string } }[];
        samples: number[];
      };
      const ids = new Set(nodes.map(({ id }) => id));
      assert.equal(path2.length, samples);
      assert.ok(path2.every((id) => ids.has(id)) && nodes.every(({ children }) => children.every((id) => ids.has(id))));
      assert.ok(nodes.some(({ callFrame }) => callFrame.functionName === 'inner'));
    });

    it('says so when a program was too short for a sample', () => {
      assert.match(dune(['profile', hello]).err, / 0 samples.*\n.*\n\n.* a smaller --interval takes more\.\n$/);
    });

    it('tells Dune mode from Linux mode', () => {
      const folded = join(folder, 'folded-modes');
      const { err, status } = dune(['profile', '--interval', '1009', '--folded', folded, hello]);
      assert.equal(status, 0);
      assert.ok(percentOf(err, '\\[Dune mode, ring 0\\]')[1] > 5, err);
      const lines = readFileSync(folded, 'utf8');
      assert.match(lines, /^\[Linux mode, ring 3\];_start;.*;main;.* \d+$/m);
      assert.match(lines, /^\[Dune mode, ring 0\];.*;main.* \d+$/m);
    });

    it('has its options beside those of run', () => {
      const { out } = dune(['profile', '--help']);
      assert.match(out, /--interval N/);
      assert.match(out, /--max-instructions N/);
      assert.match(dune(['run', '--interval', '5', hello]).err, /Unknown option --interval/);
    });
  });

  describe('run', () => {
    it('passes standard output and exit code through', () => {
      const { out, err, status } = run(hello);
      assert.ok(out.startsWith(GREETING), out);
      assert.equal(err, '');
      assert.equal(status, 0);
    });

    it('passes standard input, standard error, arguments and a nonzero exit code', () => {
      const path = compile(
        'echo',
        `#include <stdio.h>
        int main(int argc, char **argv) {
          char line[99]; int lines = 0;
          while (fgets(line, sizeof line, stdin)) { printf("%d %s", ++lines, line); fflush(stdout); }
          fprintf(stderr, "%s %s\\n", argv[1], argv[2]);
          return argc + lines;
        }`,
      );
      assert.deepEqual(dune(['run', path, '--stats', 'b c'], 'one\ntwo\nlast without a newline'), {
        out: '1 one\n2 two\n3 last without a newline',
        err: '--stats b c\n',
        status: 6,
      });
    });

    it('ends as a shell shows a signal', () => {
      const path = compile('abort', '#include <stdlib.h>\nint main(void) { abort(); }');
      assert.equal(run(path).status, 128 + 6);
    });

    it('--stats counts instructions, cycles and exits by reason', () => {
      const stats = statsOf(run('--stats', hello));
      assert.ok(stats.instructions > 10_000 && stats.cycles > stats.instructions, JSON.stringify(stats));
      assert.ok(stats.exits['VMCALL']! > 0 && stats.exits['EPT_VIOLATION']! > 0, JSON.stringify(stats));
    });

    it('--trace writes JSON lines, the same in every run', () => {
      const traces = ['one', 'two=2'].map((name) => {
        assert.equal(run(`--trace=all=${name}`, hello).status, 0);
        return readFileSync(join(folder, name), 'utf8');
      });
      assert.equal(traces[0], traces[1]);
      const events = traces[0]!
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      const kinds = new Set(events.map(({ kind }) => kind));
      for (const kind of ['vm-exit', 'vm-entry', 'page-fault', 'host-syscall', 'vmcall-syscall'])
        assert.ok(kinds.has(kind), `${kind} is not among ${[...kinds].join(', ')}`);
      assert.deepEqual(
        events.map(({ sequence }) => sequence),
        [...events.keys()],
      );
    });

    it('--trace without a file writes to standard error, only what was asked for', () => {
      const { err, out } = run('--trace', 'page-fault,vm-exit', hello);
      assert.ok(out.startsWith(GREETING));
      const kinds = err
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { kind: string }).kind);
      assert.deepEqual([...new Set(kinds)].sort(), ['page-fault', 'vm-exit']);
    });

    it('--max-instructions stops with status 124', () => {
      const path = compile('endless', 'int main(void) { for (;;); }');
      const outcome = run('--max-instructions', '1000000', '--stats', path);
      assert.equal(outcome.status, 124);
      assert.equal(statsOf(outcome).instructions, 1_000_000);
    });

    it('--strict refuses system calls beyond the 312-entry table', () => {
      const path = join(folder, 'getrandom');
      writeFileSync(
        `${path}.c`,
        `#include <errno.h>
        #include <stdio.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        #include "libdune/dune.h"
        int main(void) {
          char byte;
          if (dune_init_and_enter()) return 99;
          long got = syscall(SYS_getrandom, &byte, 1, 0);
          return got == 1 ? 1 : errno == EINVAL ? 2 : 3;
        }`,
      );
      const libdune = ['-I', root, `${path}.c`, join(root, 'libdune/libdune.a'), '-lpthread'];
      execFileSync('gcc', ['-O1', '-mno-red-zone', '-static', '-o', path, ...libdune], { stdio: 'pipe' });
      assert.equal(run(path).status, 1);
      assert.equal(run('--strict', path).status, 2);
    });

    it('--phys-bits takes 37 to 52, of which a program with a 4-level EPT uses 48', () => {
      const { err, status } = run('--phys-bits', '36', hello);
      assert.equal(err, 'dune-debug: --phys-bits takes a whole number from 37 to 52, not "36".\n');
      assert.equal(status, 2);
      assert.match(run('--phys-bits', '49', hello).err, /physBits is 49: .* its 4-level EPT reaches 48\./);
      for (const bits of ['37', '39', '48']) assert.ok(run('--phys-bits', bits, hello).out.startsWith(GREETING), bits);
    });

    it('--cpus gives the program so many', () => {
      const path = compile(
        'cpus',
        '#include <unistd.h>\nint main(void) { return (int)sysconf(_SC_NPROCESSORS_CONF) * 16 + (int)sysconf(_SC_NPROCESSORS_ONLN); }',
      );
      assert.equal(run('--cpus', '3', path).status, 3 * 16 + 3);
      assert.ok(run('--cpus', '4', example('fork-threads')).out.length > 0);
    });

    it('--grant shows a file, and lets it be written with :rw only', () => {
      const path = compile(
        'append',
        `#include <stdio.h>
        int main(int argc, char **argv) {
          FILE *file = fopen(argv[1], "r+");
          if (!file) return 1;
          int first = fgetc(file);
          fseek(file, 0, SEEK_END);
          fputs("more", file);
          if (fclose(file)) return 2;
          file = fopen(argv[1], "r");
          fseek(file, -4, SEEK_END);
          return first == 's' && fgetc(file) == 'm' ? 0 : 3;
        }`,
      );
      mkdirSync(join(folder, 'data'));
      const file = join(folder, 'data/file');
      writeFileSync(file, 'some ');
      assert.equal(run(path, file).status, 1, 'not granted');
      assert.equal(run('--grant', 'data', path, file).status, 0, 'the overlay');
      assert.equal(readFileSync(file, 'utf8'), 'some ');
      assert.equal(run('--grant', 'data:rw', path, file).status, 0, 'read and write');
      assert.equal(readFileSync(file, 'utf8'), 'some more');
    });

    it('--env adds to an empty environment', () => {
      const path = compile('env', '#include <stdio.h>\nint main(int c, char **v, char **e) { while (*e) puts(*e++); }');
      assert.equal(run(path).out, '');
      assert.equal(run('--env', 'A=1', '--env=B=x=y', path).out, 'A=1\nB=x=y\n');
    });

    it('--help names every option', () => {
      const { out, status } = run('--help');
      assert.equal(status, 0);
      for (const name of ['--strict', '--phys-bits', '--trace', '--stats', '--max-instructions', '--grant', '--env'])
        assert.ok(out.includes(name), name);
    });
  });

  describe('refuses in one sentence', () => {
    const cases: [string, string[], number, RegExp][] = [
      ['no program', ['run'], 2, /^dune-debug: Which program\? Use: dune-debug run \[options\] PROGRAM \[ARGS\]\n$/],
      [
        'an unknown option',
        ['run', '--fast', hello],
        2,
        /^dune-debug: Unknown option --fast: see "dune-debug run --help"\.\n$/,
      ],
      [
        'an unknown kind',
        ['run', '--trace', 'vmexit', hello],
        2,
        /^dune-debug: --trace knows no kind "vmexit"; there are: all, vm-exit, .*\.\n$/,
      ],
      [
        'no trace file',
        ['run', '--trace', 'all=', hello],
        2,
        /^dune-debug: --trace KINDS=FILE needs the name of a file after the "="\.\n$/,
      ],
      [
        'a trace file that cannot be',
        ['run', '--trace', 'all=none/such', hello],
        2,
        /^dune-debug: --trace cannot write none\/such: ENOENT.*\.\n$/,
      ],
      [
        'a processor that cannot be',
        ['run', '--cpu', 'haswell,-sse3', hello],
        2,
        /^dune-debug: --cpu: A processor "haswell,-sse3" cannot be: ssse3 needs sse3\. /,
      ],
      ['an option without its value', ['run', '--cpus'], 2, /^dune-debug: --cpus needs a value: N\.\n$/],
      [
        'a value that is no number',
        ['run', '--cpus=', hello],
        2,
        /^dune-debug: --cpus takes a whole number from 1 to 64, not ""\.\n$/,
      ],
      [
        'a variable without a value',
        ['run', '--env', 'A', hello],
        2,
        /^dune-debug: --env takes NAME=VALUE, not "A"\.\n$/,
      ],
      ['a program that is not there', ['run', 'none'], 126, /^dune-debug: none: there is no such file\.\n$/],
      ['a folder', ['run', '.'], 126, /^dune-debug: \. is a directory; name the program in it\.\n$/],
      [
        'what is not a program',
        ['run', join(root, 'package.json')],
        126,
        /^dune-debug: .*package\.json: this is not an ELF file; name a static x86-64 Linux executable\.\n$/,
      ],
      [
        'an unknown command',
        ['debug', hello],
        2,
        /^Use: dune-debug run .*\n     dune-debug profile .*\n     dune-debug as .*\n$/,
      ],
    ];
    for (const [what, args, status, message] of cases)
      it(what, () => {
        const outcome = dune(args);
        assert.match(outcome.err, message);
        assert.deepEqual([outcome.out, outcome.status], ['', status]);
      });
  });

  describe('explains', () => {
    const cases: [string, RegExp, RegExp][] = [
      [
        'ept-violation',
        /EPT violation: ring 0 read at GVA 0x300000000: Linux refuses a read of HVA 0x900000000 \(no mapping/,
        /the guest's PTE at gpa:0x[0-9a-f]+ = 0x8000000900000023 names this GPA/,
      ],
      [
        'triple-fault',
        /TRIPLE_FAULT: #PF\(0x2\) for address 0x500000000000 .*before LIDT/,
        /IDTR base 0x0, limit 0x0: LIDT has not been executed/,
      ],
      ['cr-write', /CR_ACCESS: MOV to CR4 would change SMEP/, /CR0 and CR4 stay as the module set them/],
      ['rdmsr', /RDMSR of 0xc0000082 \(LSTAR\): its bit in the MSR bitmap is set/, /exit reason 31 \(RDMSR\)/],
    ];
    for (const [name, headline, detail] of cases)
      it(name, () => {
        const { err, status } = run(example(name));
        const lines = err.split('\n');
        const at = lines.findIndex((line) => line.startsWith('dune-debug: thread '));
        assert.match(lines[at]!, headline);
        assert.ok(
          lines.slice(at + 1).some((line) => detail.test(line)),
          err,
        );
        assert.notEqual(status, 0);
      });
  });

  it('starts soon', function () {
    this.timeout(60_000);
    const time = (args: string[]): number => {
      const start = performance.now();
      spawnSync(process.execPath, args, { cwd: folder });
      return performance.now() - start;
    };
    const program = compile('nothing', 'int main(void) { return 0; }');
    const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;
    const rounds = Array.from({ length: 5 }, () => [
      time(['-e', '0']),
      time([bundle, 'run', program]),
      time([bundle, 'run', hello]),
    ]);
    const [bare, start, whole] = [0, 1, 2].map((column) => median(rounds.map((round) => round[column]!)));
    console.log(
      `    node -e 0: ${bare!.toFixed(0)} ms; an empty C program: ${start!.toFixed(0)} ms; hello: ${whole!.toFixed(0)} ms`,
    );
  });
});

/**
 * gcc's own execution tests (gcc.c-torture/execute): some 1,500 small programs whose main functions are linked into one, which runs each in a process of
 * its own and prints how it ended.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RealRun } from './programs.ts';
import { driver, gcc, once, packages, root, unpack, work } from './workspace.ts';

/** How they are compiled, and that every so manieth is taken. */
const BUILDS: readonly { readonly build: string; readonly flags: readonly string[]; readonly every: number }[] = [
  { build: 'O0', flags: ['-O0'], every: 3 },
  { build: 'O3-haswell', flags: ['-O3', '-march=haswell'], every: 3 },
  { build: 'O2', flags: ['-O2'], every: 1 },
];
/** It prints where its stack is, and ends with a byte of that. */
const LEFT_OUT = new Set<string>(['return-addr']);
const PARALLEL = 2;

export function torture(): readonly RealRun[] {
  packages('gcc-12-source');
  const sources = join(work, 'torture');
  const archive = join(root, 'usr/src/gcc-12', 'gcc-12.2.0-dfsg.tar.xz');
  unpack(archive, sources, '*/gcc/testsuite/gcc.c-torture/execute/*');
  const folder = join(sources, readdirSync(sources)[0]!, 'gcc/testsuite/gcc.c-torture/execute');
  const names = readdirSync(folder)
    .filter((file) => file.endsWith('.c'))
    .map((file) => file.slice(0, -2))
    .filter((name) => !LEFT_OUT.has(name));
  return BUILDS.map(({ build, flags, every }) => ({
    name: `gcc torture ${flags.join(' ')}`,
    program: link(
      build,
      flags,
      folder,
      names.filter((_, index) => index % every === 0),
    ),
    args: [],
  }));
}

/** Compiles what compiles; only `main_N` of each object stays global, so that they do not meet. */
function link(build: string, flags: readonly string[], folder: string, names: readonly string[]): string {
  const objects = join(work, 'torture-objects', build);
  once(`torture-${build}`, () => {
    mkdirSync(objects, { recursive: true });
    const compile = `n=$1; f=$2; gcc -c -w -std=gnu89 ${flags.join(' ')} -Dmain=main_$n -o ${objects}/$n.o ${folder}/$f.c 2>/dev/null &&
      objcopy --keep-global-symbol=main_$n ${objects}/$n.o 2>/dev/null || rm -f ${objects}/$n.o`;
    const input = names.map((name, index) => `${index} ${name}`).join('\n');
    spawnSync('xargs', [`-P${PARALLEL}`, '-n2', 'sh', '-c', compile, 'sh'], { input });
  });
  const present = names
    .map((name, index) => ({ name, index }))
    .filter(({ index }) => existsSync(join(objects, `${index}.o`)));
  const table = join(work, `torture-${build}.c`);
  const lines = [
    'struct test { const char *name; int (*run)(void); };',
    ...present.map(({ index }) => `int main_${index}(void);`),
    'const struct test tests[] = {',
    ...present.map(({ name, index }) => `  {"${name}", main_${index}},`),
    '  {0, 0}};',
  ];
  writeFileSync(table, lines.join('\n'));
  const files = present.map(({ index }) => join(objects, `${index}.o`));
  return gcc(`torture-${build}`, [driver('torture.c'), table, ...files, '-lm', '-Wl,--unresolved-symbols=ignore-all']);
}

/** The real programs, each with how it is fetched and built and what it is run on. Sentences about them: docs/realprograms.md. */
import { join } from 'node:path';
import { existsSync } from 'node:fs';
import { perl } from './perl.ts';
import { driver, gcc, generate, packages, root, source } from './workspace.ts';
import { torture } from './torture.ts';

export interface RealRun {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: readonly string[];
  readonly input?: string;
  readonly cwd?: string;
  /** More files and folders of the host that it sees, as --grant has them. */
  readonly grants?: readonly string[];
  /** What differs from run to run is blanked before outputs are compared. */
  readonly blank?: RegExp;
}

export interface RealProgram {
  readonly name: string;
  /** Fetches and builds what is not there yet. Throws when something is missing. */
  readonly prepare: () => readonly RealRun[];
}

const script = (name: string): string => join(driver('..'), 'scripts', name);

export function busyboxRun(program: string): RealRun {
  return { name: 'busybox sh', program, args: ['sh', script('busybox.sh'), program], cwd: '/tmp' };
}
function busybox(): RealRun[] {
  packages('busybox-static');
  return [busyboxRun([join(root, 'bin/busybox'), join(root, 'usr/bin/busybox')].find(existsSync)!)];
}

function python(): RealRun[] {
  packages('libpython3.11-dev', 'libpython3.11-minimal', 'libpython3.11-stdlib', 'libpython3.11-testsuite');
  packages('libexpat1-dev', 'zlib1g-dev');
  const libraries = ['-lpython3.11', '-lexpat', '-lz', '-lm', '-ldl', '-lutil'];
  const program = gcc('python3', [driver('python.c'), `-I${root}/usr/include/python3.11`, ...libraries]);
  const env = [`PYTHONHOME=${root}/usr`, 'PYTHONHASHSEED=0', 'PYTHONDONTWRITEBYTECODE=1'];
  const tests = [
    'json',
    'math',
    'struct',
    're',
    'sort',
    'dict',
    'set',
    'bisect',
    'heapq',
    'random',
    'float',
    'int',
    'long',
    'binascii',
  ];
  const more = [
    'complex',
    'fractions',
    'statistics',
    'textwrap',
    'string',
    'itertools',
    'array',
    'zlib',
    'base64',
    'unicodedata',
    'generators',
  ];
  // How long tests took stands in their last lines.
  const blank = /^Ran \d+ tests? in .*$|^.*DeprecationWarning.*$/gm;
  return [
    { name: 'python script', program, args: [script('python.py')], env },
    ...[...tests, ...more].map((test) => ({
      name: `python test_${test}`,
      program,
      // Seeded: what test_sort and others print depends on chance.
      args: [
        '-c',
        `import random, unittest; random.seed(1); unittest.main(None, argv=['unittest', '-q', 'test.test_${test}'])`,
      ],
      env,
      blank,
    })),
  ];
}

function sqlite(): RealRun[] {
  packages('libsqlite3-dev', 'zlib1g-dev');
  const folder = source('sqlite3');
  const libraries = ['-lsqlite3', '-lm', '-ldl', '-lpthread', '-lz'];
  const speed = gcc('speedtest1', [join(folder, 'test/speedtest1.c'), ...libraries]);
  const shellSource = generate('shell.c', 'tclsh', ['tool/mkshellc.tcl'], folder);
  const shell = gcc('sqlite3', [shellSource, ...libraries]);
  return [
    { name: 'sqlite speedtest1', program: speed, args: ['--size', '10', '--memdb', '--verify'], blank: /\d+\.\d+s$/gm },
    {
      name: 'sqlite shell',
      program: shell,
      args: ['-batch', ':memory:', `.read ${script('sqlite.sql')}`],
      // It would look for one in the host's files.
      env: ['HOME=/tmp'],
    },
  ];
}

function openssl(): RealRun[] {
  packages('libssl-dev');
  const program = gcc('crypto', [driver('crypto.c'), '-lcrypto', '-ldl', '-lpthread']);
  return [{ name: 'libcrypto', program, args: [] }];
}

function lua(): RealRun[] {
  packages('liblua5.4-dev');
  const folder = source('lua5.4');
  const program = gcc('lua', [join(folder, 'src/lua.c'), `-I${root}/usr/include/lua5.4`, '-llua5.4', '-lm', '-ldl']);
  return [{ name: 'lua script', program, args: [script('lua.lua')] }];
}

export const PROGRAMS: readonly RealProgram[] = [
  { name: 'busybox', prepare: busybox },
  { name: 'lua', prepare: lua },
  { name: 'openssl', prepare: openssl },
  { name: 'sqlite', prepare: sqlite },
  { name: 'python', prepare: python },
  { name: 'perl', prepare: perl },
  { name: 'torture', prepare: torture },
];

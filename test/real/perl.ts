/** Perl, built whole from its source as one static program, and its own tests. Shell and tools that tests call are busybox's, on the host too. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RealRun } from './programs.ts';
import { once, packages, root, run, source, work } from './workspace.ts';

const GROUPS = ['base', 'cmd', 'comp', 'io', 're', 'uni', 'mro', 'op', 'opbasic', 'lib'];
/** Whole tests that cannot be compared, by name. */
const LEFT_OUT: readonly (readonly [reason: string, tests: RegExp])[] = [
  ['it prints or depends on the time of the day, on waiting for it, or on chance', /^op\/(time|time_loop|alarm|sleep|rand|srand|lfs)$|^io\/fs$/],
  ['it prints process ids', /^op\/(getpid|getppid)$|^io\/openpid$/],
  ['another user: the host runs it as root, which may do all', /^op\/(stat|filetest|groups)$/],
  ['/dev/tty is there', /^op\/filetest_t$/],
  ['sockets do not exist', /^io\/(socket|socketpair)$/],
  ['/bin/echo, a dynamic program', /^io\/argv$/],
]; // prettier-ignore
/** Addresses, and names of temporary files, which are made of process ids. */
const BLANK = /\b0x[0-9a-f]{6,16}\b|\btmp_[A-Z]+_[A-Z]+/g;

/** Extensions that cost minutes of building and that no test of these groups is about. */
const NO_EXTENSIONS =
  'XS/APItest XS/Typemap Encode Unicode/Collate I18N/Langinfo Sys/Syslog IPC/SysV Compress/Raw/Bzip2 Compress/Raw/Zlib Devel/PPPort Devel/Peek threads';

/** A folder with busybox by all its names. */
function applets(): string {
  const folder = join(work, 'applets');
  packages('busybox-static');
  once('applets', () => {
    mkdirSync(folder, { recursive: true });
    const busybox = [join(root, 'bin/busybox'), join(root, 'usr/bin/busybox')].find(existsSync)!;
    for (const name of spawnSync(busybox, ['--list'], { encoding: 'utf8' }).stdout.trim().split('\n')) {
      rmSync(join(folder, name), { force: true });
      symlinkSync(busybox, join(folder, name));
    }
  });
  return folder;
}

/** The folder that Perl was built in. */
function build(shell: string): string {
  const folder = join(work, 'perl-build');
  once('perl-build', () => {
    rmSync(folder, { recursive: true, force: true });
    run('cp', ['-a', source('perl'), folder]);
    writeFileSync(join(folder, 'config.over'), `sh='${shell}'\ntargetsh='${shell}'\n`);
    const names = ['-Dperladmin=root@localhost', '-Dcf_email=root@localhost', '-Dmyhostname=host', '-Dmydomain=.local'];
    const what = ['-Uusedl', '-Dldflags=-static', '-Doptimize=-O2', '-Dlibs=-lm -lcrypt', '-Uusethreads'];
    const options = ['-des', '-Dman1dir=none', '-Dman3dir=none', `-Dnoextensions=${NO_EXTENSIONS}`];
    run('sh', ['./Configure', ...options, ...what, ...names], folder);
    run('make', ['all'], folder);
    symlinkSync('../perl', join(folder, 't/perl'));
  });
  return folder;
}

export function perl(): RealRun[] {
  const tools = applets();
  const folder = build(join(tools, 'sh'));
  const tests = GROUPS.flatMap((group) =>
    readdirSync(join(folder, 't', group))
      .filter((file) => file.endsWith('.t'))
      .map((file) => `${group}/${file.slice(0, -2)}`),
  );
  return tests
    .filter((name) => !LEFT_OUT.some(([, pattern]) => pattern.test(name)))
    .map((name) => ({
      name: `perl t/${name}`,
      program: join(folder, 'perl'),
      args: ['-I../lib', '-I.', `${name}.t`],
      cwd: join(folder, 't'),
      grants: [`${join(folder, 't')}:rw`, '/usr/lib/locale', '/etc'],
      env: [`PATH=${tools}`, 'LC_ALL=C', 'PERL_CORE=1', 'HOME=/tmp', 'PERL_HASH_SEED=0'],
      blank: BLANK,
    }));
}

/** Where real programs are fetched to and built: dist/real, which is not part of the tree. Packages come by apt, and are unpacked there, not installed. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
export const repository = join(here, '../..');
export const work = join(repository, 'dist/real');
/** The root that packages are unpacked into. */
export const root = join(work, 'root');
const library = join(root, 'usr/lib/x86_64-linux-gnu');
const lists = join(work, 'lists');

export const driver = (name: string): string => join(here, 'drivers', name);
export const built = (name: string): string => join(work, 'bin', name);

export function run(command: string, args: readonly string[], cwd = work): void {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.status !== 0) {
    const said = (done.stderr ?? '').trim().split('\n').slice(-5).join('\n');
    throw new Error(`${[command, ...args].join(' ').slice(0, 300)}\n${said || String(done.error)}`);
  }
}

/** Makes something once; what has been made stands until dist/real is removed. */
function once(name: string, make: () => void): void {
  const mark = join(work, 'made', name.replace(/[^\w.-]/g, '_'));
  if (existsSync(mark)) return;
  mkdirSync(join(work, 'made'), { recursive: true });
  make();
  writeFileSync(mark, '');
}

/** Fetches and unpacks Debian packages, without what they depend on. */
export function packages(...names: readonly string[]): void {
  for (const name of names)
    once(`package-${name}`, () => {
      const into = join(work, 'packages', name);
      mkdirSync(into, { recursive: true });
      mkdirSync(root, { recursive: true });
      run('apt-get', ['download', '-q', name], into);
      for (const file of readdirSync(into)) run('dpkg-deb', ['-x', join(into, file), root]);
    });
}

/** Fetches and unpacks the original source of a Debian package; returns its folder. */
export function source(name: string): string {
  const into = join(work, 'source', name);
  once(`source-${name}`, () => {
    mkdirSync(into, { recursive: true });
    mkdirSync(join(lists, 'partial'), { recursive: true });
    const list = join(work, 'sources.list');
    writeFileSync(list, 'deb-src http://deb.debian.org/debian bookworm main\n');
    const options = [`Dir::Etc::sourcelist=${list}`, 'Dir::Etc::sourceparts=-', `Dir::State::lists=${lists}`];
    const apt = options.flatMap((option) => ['-o', option]);
    once('source-lists', () => run('apt-get', [...apt, 'update', '-q']));
    run('apt-get', [...apt, 'source', '-q', '--download-only', name], into);
    const archive = readdirSync(into).find((file) => /\.orig\.tar\.\w+$/.test(file))!;
    run('tar', ['-xf', archive], into);
  });
  return join(into, readdirSync(into, { withFileTypes: true }).find((entry) => entry.isDirectory())!.name);
}

/** Unpacks the members of a tar archive that match a pattern. */
export function unpack(archive: string, into: string, pattern: string): void {
  once(`unpack-${archive}`, () => {
    mkdirSync(into, { recursive: true });
    run('tar', ['-xf', archive, '-C', into, '--wildcards', pattern]);
  });
}

/** Compiles and links a static program with gcc; returns its path. */
export function gcc(name: string, args: readonly string[]): string {
  const output = built(name);
  mkdirSync(dirname(output), { recursive: true });
  const headers = [`-I${root}/usr/include`, `-I${root}/usr/include/x86_64-linux-gnu`];
  once(`gcc-${[name, ...args].join(' ').slice(0, 200)}`, () =>
    run('gcc', ['-O2', '-static', '-w', '-o', output, ...headers, `-L${library}`, ...args]),
  );
  return output;
}

/** Output of a command that writes a source file. */
export function generate(output: string, command: string, args: readonly string[], cwd: string): string {
  const path = join(work, output);
  once(`generate-${output}`, () => writeFileSync(path, execFileSync(command, args, { cwd, maxBuffer: 1 << 28 })));
  return path;
}

export { once };

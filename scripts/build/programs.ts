/** Builds libdune and the example programs, where there is a C compiler. */
import { cpSync, mkdirSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** The C compiler to use, or undefined when the machine has none. */
export function compiler(): string | undefined {
  return ['gcc', 'clang', 'cc'].find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** False when there is no compiler; throws when a build fails. */
export function buildPrograms(root: string): boolean {
  const cc = compiler();
  if (!cc || spawnSync('make', ['--version'], { stdio: 'ignore' }).status !== 0) return false;
  for (const folder of ['libdune', 'examples']) {
    const made = spawnSync('make', ['-s', '-C', join(root, folder), `CC=${cc}`], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    if (made.status !== 0) throw new Error(`make -C ${folder} failed.`);
  }
  const headers = join(root, 'dist/libdune/include/libdune');
  mkdirSync(headers, { recursive: true });
  cpSync(join(root, 'libdune'), headers, { recursive: true, filter: (path) => !/\.(c|S|o|a)$|Makefile$/.test(path) });
  for (const archive of ['libdune.a', 'libdune-nolibc.a'])
    cpSync(join(root, 'libdune', archive), join(root, 'dist/libdune', archive));
  return true;
}

/** `npm test`: builds, then every test but the editor ones. Arguments go to mocha. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = (args: string[]): void => {
  const done = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (done.status !== 0) process.exit(done.status ?? 1);
};
run(['node_modules/tsx/dist/cli.mjs', 'scripts/build.ts']);
const specs = ['emulator', 'debug-adapter', 'language-server', 'syntaxes', 'cli', 'bench', 'test'].map(
  (folder) => `${folder}/**/*.spec.ts`,
);
run(['node_modules/mocha/bin/mocha.js', ...specs, '--ignore', 'test/editor/**', ...process.argv.slice(2)]);

/** `npm run test:electron`: the main job in a desktop VS Code, which is downloaded. Needs a display. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runTests } from '@vscode/test-electron';
import { build } from 'esbuild';
import { makePackage, stage } from './package.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const suite = join(root, 'build/electron/suite.cjs');
await makePackage();
await build({
  entryPoints: [join(root, 'test/electron/suite.ts')],
  outfile: suite,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  external: ['vscode'],
});
await runTests({
  // The unpacked package, so that what is tested is what ships.
  extensionDevelopmentPath: stage,
  extensionTestsPath: suite,
  launchArgs: [join(root, 'examples'), '--disable-extensions', '--disable-workspace-trust'],
});

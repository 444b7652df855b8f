/** Starts the browser VS Code with the packaged extension in throw-away folders, and a browser on it. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { cpSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { installEditorHost } from '../../../scripts/editor/install-host.ts';

/** Settings that keep everything but the extension quiet. */
export const QUIET_SETTINGS = {
  'workbench.startupEditor': 'none',
  'telemetry.telemetryLevel': 'off',
  'workbench.tips.enabled': false,
  'update.mode': 'none',
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'chat.disableAIFeatures': true,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.enableExperiments': false,
  'git.enabled': false,
  'workbench.colorTheme': 'Default Dark Modern',
  'window.confirmBeforeClose': 'never',
  'debug.toolBarLocation': 'floating',
  'debug.openDebug': 'neverOpen',
  'debug.inlineValues': 'on',
  'workbench.tree.enableStickyScroll': false,
};

export const BROWSER_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export interface Editor {
  readonly page: Page;
  /** The workspace folder opened. */
  readonly workspace: string;
  screenshot(name: string): Promise<void>;
  close(): Promise<void>;
}

export interface EditorOptions {
  /** Where user data, workspace copy, logs and screenshots go; made anew by the caller. */
  readonly directory: string;
  readonly vsix: string;
  /** Folder opened. */
  readonly workspace: string;
  /** Open a copy of the folder instead, which the test may change. */
  readonly copy?: boolean;
  readonly settings?: Record<string, unknown>;
  /** Ask for workspace trust as a desktop does. */
  readonly trustPrompt?: boolean;
  /** PATH of the server, to take the compiler away. */
  readonly path?: string;
}

export async function openEditor(options: EditorOptions): Promise<Editor> {
  const host = installEditorHost();
  const { directory } = options;
  const workspace = options.copy ? join(directory, 'workspace') : options.workspace;
  if (options.copy) cpSync(options.workspace, workspace, { recursive: true });
  mkdirSync(join(directory, 'data/User'), { recursive: true });
  const settings = { ...QUIET_SETTINGS, ...options.settings };
  writeFileSync(join(directory, 'data/User/settings.json'), JSON.stringify(settings));
  writeFileSync(join(directory, 'config.yaml'), 'auth: none\ncert: false\n');

  const env: NodeJS.ProcessEnv = {
    ...process.env,
    EXTENSIONS_GALLERY: '{}',
    XDG_DATA_HOME: join(directory, 'xdg/data'),
    XDG_CONFIG_HOME: join(directory, 'xdg/config'),
    XDG_CACHE_HOME: join(directory, 'xdg/cache'),
  };
  delete env.PORT;
  if (options.path !== undefined) env.PATH = options.path;
  const folders = [
    ...['--config', join(directory, 'config.yaml')],
    ...['--user-data-dir', join(directory, 'data')],
    ...['--extensions-dir', join(directory, 'extensions')],
  ];
  const install = spawnSync(host.node, [host.entry, ...folders, '--force', '--install-extension', options.vsix], {
    env,
  });
  if (install.status !== 0) throw new Error(`The extension did not install:\n${install.stdout}\n${install.stderr}`);

  const port = await freePort();
  const flags = ['--bind-addr', `127.0.0.1:${port}`, '--auth', 'none', '--disable-telemetry', '--disable-update-check'];
  flags.push('--disable-getting-started-override');
  if (!options.trustPrompt) flags.push('--disable-workspace-trust');
  const log = openSync(join(directory, 'server.log'), 'w');
  const server = spawn(host.node, [host.entry, ...folders, ...flags], {
    env,
    stdio: ['ignore', log, log],
    detached: true,
  });
  let browser: Browser | undefined;
  try {
    await healthy(port, server);
    browser = await chromium.launch({ executablePath: chromiumPath(), args: BROWSER_FLAGS });
    const context = await browser.newContext({ viewport: { width: 1500, height: 950 } });
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    await page.goto(`http://127.0.0.1:${port}/?folder=${encodeURIComponent(workspace)}`);
    await page.locator('.monaco-workbench').waitFor();
    const close = async (): Promise<void> => {
      await browser?.close();
      stop(server);
    };
    const screenshot = async (name: string): Promise<void> =>
      void (await page.screenshot({ path: join(directory, `${name}.png`) }));
    return { page, workspace, screenshot, close };
  } catch (error) {
    await browser?.close();
    stop(server);
    throw error;
  }
}

export function chromiumPath(): string {
  const found = ['chromium', 'chromium-browser', 'google-chrome'].map((name) =>
    spawnSync('which', [name], { encoding: 'utf8' }).stdout.trim(),
  );
  const path = found.find(Boolean);
  if (!path) throw new Error('The editor tests need Chromium (Debian package "chromium").');
  return path;
}

function stop(server: ChildProcess): void {
  if (server.pid && server.exitCode === null) process.kill(-server.pid, 'SIGTERM');
}

async function healthy(port: number, server: ChildProcess): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline && server.exitCode === null) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('VS Code for the browser did not start: see server.log.');
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

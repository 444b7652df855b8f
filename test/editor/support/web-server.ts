/** VS Code for the web with the unpacked package: no process and no file system behind the extension. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { installWebHost } from '../../../scripts/editor/install-web-host.ts';
import { BROWSER_FLAGS, chromiumPath, freePort, QUIET_SETTINGS, type Editor } from './server.ts';

export interface WebEditorOptions {
  /** Where the workspace copy and screenshots go; made anew by the caller. */
  readonly directory: string;
  /** The unpacked package. */
  readonly extension: string;
  /** Folder of which a copy is opened. */
  readonly workspace: string;
}

type RunServer = (host: string, port: number, options: object) => Promise<{ close(): void }>;

export async function openWebEditor({ directory, extension, workspace: from }: WebEditorOptions): Promise<Editor> {
  const host = installWebHost();
  const workspace = join(directory, 'workspace');
  cpSync(from, workspace, { recursive: true });
  mkdirSync(join(workspace, '.vscode'), { recursive: true });
  writeFileSync(join(workspace, '.vscode/settings.json'), JSON.stringify(QUIET_SETTINGS));
  const { runServer } = createRequire(import.meta.url)(host.server) as { runServer: RunServer };
  const port = await freePort();
  const server = await runServer('localhost', port, {
    build: { type: 'static', location: host.build, quality: 'stable', version: 'local' },
    extensionDevelopmentPath: extension,
    folderMountPath: workspace,
  });
  const browser = await chromium.launch({ executablePath: chromiumPath(), args: BROWSER_FLAGS }).catch((error) => {
    server.close();
    throw error;
  });
  const close = async (): Promise<void> => {
    await browser.close();
    server.close();
  };
  try {
    const context = await browser.newContext({ viewport: { width: 1500, height: 950 } });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    const log: string[] = [];
    page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
    await page.goto(`http://localhost:${port}/`);
    await page.locator('.monaco-workbench').waitFor();
    const screenshot = async (name: string): Promise<void> => {
      await page.screenshot({ path: join(directory, `${name}.png`) });
      writeFileSync(join(directory, 'browser.log'), log.join('\n'));
    };
    return { page, workspace, screenshot, close };
  } catch (error) {
    await close();
    throw error;
  }
}

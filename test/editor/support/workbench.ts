/** The workbench as a person uses it: files, breakpoints in the gutter, keys, commands, messages. */
import type { Locator, Page } from 'playwright-core';
import { DebugConsole } from './debug-console.ts';
import { DebugViews } from './debug-views.ts';
import { showContainer } from './containers.ts';
import { TreePane } from './tree-pane.ts';
import { until, waitFor } from './until.ts';

/** Clicks in the gutter that may be lost while the editor is still being laid out. */
const GUTTER_TRIES = 10;

export class Workbench {
  readonly debug: DebugViews;
  readonly console: DebugConsole;

  constructor(readonly page: Page) {
    this.debug = new DebugViews(page);
    this.console = new DebugConsole(page);
  }

  /** Opens a file of the workspace with a line in sight. */
  async openFile(path: string, line = 1): Promise<void> {
    await this.#quickOpen(path, `:${line}`);
    await this.page.locator('.margin-view-overlays .line-numbers', { hasText: new RegExp(`^${line}$`) }).waitFor();
  }

  /** Opens a file at the top of the explorer, one that no editor can show as text. */
  async openInExplorer(name: string): Promise<void> {
    await showContainer(this.page, /^Explorer/);
    await this.page.locator(`.explorer-folders-view .monaco-list-row[aria-label^="${name}"]`).first().dblclick();
    await this.page.locator(`.tabs-container .tab.active[data-resource-name="${name}"]`).waitFor();
    await this.page.locator('.monaco-editor-pane-placeholder').filter({ visible: true }).waitFor();
    await this.offersToDebug();
  }

  /** Waits for the action of the editor's title: before the extension is there, F5 does nothing. */
  async offersToDebug(): Promise<void> {
    await this.page.locator('.editor-actions [aria-label^="Debug with Dune"]').first().waitFor();
  }

  async #quickOpen(path: string, place = ''): Promise<void> {
    const input = this.input();
    const row = this.page.locator('.quick-input-list .monaco-list-row').first();
    const wanted = row.locator('.label-name', { hasText: path.slice(path.lastIndexOf('/') + 1) });
    // Right after the start files may not be found yet.
    await waitFor(
      `${path} to be found`,
      async () => {
        if (!(await input.isVisible())) await this.page.keyboard.press('Control+P');
        if (!(await until(() => input.isVisible(), 3000))) return false;
        await input.fill('');
        await input.fill(`${path}${place}`);
        return until(() => wanted.isVisible(), 4000);
      },
      60_000,
    );
    await this.page.keyboard.press('Enter');
    await input.waitFor({ state: 'hidden' });
  }

  /** Runs a command of the palette by its title. */
  async command(title: string): Promise<void> {
    await this.page.keyboard.press('F1');
    const input = this.input();
    await input.fill(`>${title}`);
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first().waitFor();
    await this.page.keyboard.press('Enter');
  }

  /** The box at the top of the window in which commands ask. */
  input(): Locator {
    return this.page.locator('.quick-input-widget input.input');
  }

  /** Answers the input box a command has opened. */
  async answer(text: string): Promise<void> {
    await this.input().waitFor();
    await this.input().fill(text);
    await this.page.keyboard.press('Enter');
    await this.input().waitFor({ state: 'hidden' });
  }

  /** Sets a breakpoint by a click left of a line that is in sight. */
  async clickGutter(line: number): Promise<void> {
    const glyph = this.page.locator('.glyph-margin-widgets [class*="codicon-debug-breakpoint"]');
    const before = await glyph.count();
    for (let tries = 0; tries < GUTTER_TRIES; tries++) {
      const number = this.page.locator('.margin-view-overlays .line-numbers', { hasText: new RegExp(`^${line}$`) });
      const row = await number.boundingBox();
      const margin = await this.page.locator('.editor-instance .glyph-margin').first().boundingBox();
      if (!row || !margin) continue;
      await this.page.mouse.move(margin.x + 9, row.y + row.height / 2);
      await this.page.mouse.click(margin.x + 9, row.y + row.height / 2);
      if (await until(async () => (await glyph.count()) > before, 1500)) return;
    }
    throw new Error(`No breakpoint could be set on line ${line}.`);
  }

  /** Puts the keyboard focus on the source and presses a key. */
  async press(key: string): Promise<void> {
    await this.page.keyboard.press('Control+1');
    await this.page.keyboard.press(key);
  }

  /** A view of the Dune container, opened and expanded. */
  async duneView(title: string): Promise<TreePane> {
    await showContainer(this.page, /^Dune/);
    const pane = new TreePane(this.page, title);
    await pane.open();
    return pane;
  }

  /** Notifications and modal dialogs in sight. */
  messages(): Locator {
    return this.page.locator('.notification-toast, .monaco-dialog-box');
  }
}

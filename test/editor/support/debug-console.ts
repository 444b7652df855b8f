/** The debug console. */
import type { Page } from 'playwright-core';
import { until, waitFor } from './until.ts';

export class DebugConsole {
  constructor(readonly page: Page) {}

  async show(): Promise<void> {
    const console = this.page.locator('.repl');
    // The key is lost while the workbench is still being laid out; it hides a console that is shown.
    await waitFor('the debug console', async () => {
      if (await console.isVisible()) return true;
      await this.page.keyboard.press('Control+Shift+Y');
      return until(() => console.isVisible(), 3000);
    });
  }

  async text(): Promise<string> {
    return (await this.page.locator('.repl .repl-tree .monaco-list-row').allInnerTexts()).join('\n');
  }

  async shows(text: string): Promise<void> {
    await waitFor(`"${text}" in the debug console`, async () => (await this.text()).includes(text));
  }

  async evaluate(expression: string): Promise<void> {
    await this.page.locator('.repl-input-wrapper .view-line').first().click();
    await this.page.keyboard.type(expression);
    await this.page.keyboard.press('Enter');
  }
}

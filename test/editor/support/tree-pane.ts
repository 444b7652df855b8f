/** A tree view in the side bar. Rows are found by what they say; those out of sight are scrolled to. */
import type { Locator, Page } from 'playwright-core';
import { until, waitFor } from './until.ts';

export class TreePane {
  readonly pane: Locator;
  readonly header: Locator;
  readonly rows: Locator;

  constructor(
    readonly page: Page,
    readonly title: string,
  ) {
    const named = new RegExp(`^\\s*${title}\\s*$`, 'i');
    this.pane = page.locator('.split-view-view > .pane', { has: page.locator('.pane-header h3', { hasText: named }) });
    this.header = this.pane.locator('> .pane-header');
    this.rows = this.pane.locator('.monaco-list-row');
  }

  async open(): Promise<void> {
    await this.#toggle(true);
  }
  async close(): Promise<void> {
    await this.#toggle(false);
  }
  async #toggle(open: boolean): Promise<void> {
    await this.header.waitFor();
    await waitFor(`the view ${this.title} to ${open ? 'open' : 'close'}`, async () => {
      if ((await this.header.getAttribute('aria-expanded')) === String(open)) return true;
      await this.header.click({ position: { x: 40, y: 8 } });
      return until(async () => (await this.header.getAttribute('aria-expanded')) === String(open), 1000);
    });
  }

  /** The first row with a text, scrolled into sight. */
  async row(text: string | RegExp): Promise<Locator> {
    const row = this.rows.filter({ hasText: text }).first();
    const found = await until(async () => {
      if ((await row.count()) > 0) return true;
      await this.#scroll();
      return (await row.count()) > 0;
    });
    if (!found) throw new Error(`${this.title} has no row ${String(text)}, but: ${(await this.texts()).join(' | ')}`);
    await this.#bringIntoSight(row);
    return row;
  }

  /** Rows just outside of what is shown are in the page too, but cannot be clicked. */
  async #bringIntoSight(row: Locator): Promise<void> {
    const list = await this.pane.locator('.monaco-list').first().boundingBox();
    await until(async () => {
      const box = await row.boundingBox();
      if (!box || !list) return true;
      const above = list.y - box.y;
      const below = box.y + box.height - (list.y + list.height);
      if (below <= 0 && above <= 0) return true;
      await this.page.mouse.move(list.x + list.width / 2, list.y + list.height / 2);
      await this.page.mouse.wheel(0, below > 0 ? below + 4 : -above - 4);
      return until(async () => (await row.boundingBox())?.y !== box.y, 300).then((moved) => !moved);
    }, 3000);
  }

  /** One screenful down; from the end, to the top. */
  async #scroll(): Promise<void> {
    const list = this.pane.locator('.monaco-list').first();
    const box = await list.boundingBox();
    if (!box) return;
    await this.page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    const before = await this.texts();
    await this.page.mouse.wheel(0, Math.max(22, box.height - 44));
    if (!(await until(async () => (await this.texts()).join() !== before.join(), 400)))
      await this.page.mouse.wheel(0, -20_000);
  }

  async expand(text: string | RegExp): Promise<Locator> {
    const row = await this.row(text);
    await waitFor(`${String(text)} to expand`, async () => {
      if ((await row.getAttribute('aria-expanded')) === 'true') return true;
      await row.locator('.monaco-tl-twistie').click();
      return until(async () => (await row.getAttribute('aria-expanded')) === 'true', 1000);
    });
    return row;
  }

  /** Folds everything: the top is in sight again. */
  async collapseAll(): Promise<void> {
    await this.header.hover();
    await this.header.locator('.action-label[aria-label="Collapse All"]').click();
  }

  /** Clicks the inline action of a row until `opened`: a click is lost when the tree is drawn anew under it. */
  async action(text: string | RegExp, label: string, opened: Locator): Promise<void> {
    await waitFor(`${label} of ${String(text)}`, async () => {
      if (await opened.isVisible()) return true;
      const row = await this.row(text);
      await row.hover();
      await row.locator(`.actions .action-label[aria-label^="${label}"]`).click();
      return until(() => opened.isVisible(), 1500);
    });
  }

  async check(text: string | RegExp, wanted = true): Promise<void> {
    const checkbox = (await this.row(text)).locator('.custom-view-tree-node-item-checkbox');
    const isSo = async (): Promise<boolean> => (await checkbox.getAttribute('aria-checked')) === String(wanted);
    await waitFor(`${String(text)} to be ${wanted ? 'checked' : 'unchecked'}`, async () => {
      if (await isSo()) return true;
      await checkbox.click();
      return until(isSo, 1000);
    });
  }

  async texts(): Promise<string[]> {
    return (await this.rows.allInnerTexts()).map((text) => text.replace(/\s+/g, ' ').trim());
  }

  /** What an empty view says. */
  welcome(): Locator {
    return this.pane.locator('.welcome-view-content');
  }
}

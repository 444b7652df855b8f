/** The Run and Debug side bar: variables and call stack. */
import type { Locator, Page } from 'playwright-core';
import { showContainer } from './containers.ts';
import { until, waitFor } from './until.ts';
import { TreePane } from './tree-pane.ts';

export class DebugViews {
  readonly variables: TreePane;
  readonly callStack: TreePane;

  constructor(readonly page: Page) {
    this.variables = new TreePane(page, 'Variables');
    this.callStack = new TreePane(page, 'Call Stack');
  }

  async show(): Promise<void> {
    await showContainer(this.page, /^Run and Debug/);
    for (const other of ['Watch', 'Breakpoints']) await new TreePane(this.page, other).close();
    await this.callStack.open();
    await this.variables.open();
  }

  /** Waits until the program stands with the innermost frame at a place, e.g. "main" and "hello.c67". */
  async stoppedAt(frame: string, place?: string): Promise<void> {
    const wanted = `a stop in ${frame}${place ? ` at ${place}` : ''}`;
    await waitFor(wanted, async () => {
      const frames = await this.frames();
      return frames[0] !== undefined && frames[0].startsWith(frame) && (!place || frames[0].includes(place));
    });
  }

  /** Stack frames in sight, innermost first, as "name file line:column". */
  async frames(): Promise<string[]> {
    const rows = this.callStack.rows.filter({ has: this.page.locator('.stack-frame') });
    return (await rows.allInnerTexts()).map((text) => text.replace(/\s+/g, ' ').trim());
  }

  /** Waits until the frames are these, by the first words of their names, innermost first: the outer ones arrive after the first. */
  async showsFrames(wanted: readonly string[]): Promise<void> {
    await waitFor(`the frames ${wanted.join(', ')}`, async () => {
      const frames = (await this.frames()).map((frame) => frame.split(' ')[0]);
      return frames.join() === wanted.join();
    });
  }

  /** Waits until the call stack says why the thread stands, e.g. "Paused on breakpoint". */
  async paused(why: string): Promise<void> {
    await this.callStack.pane.getByText(why).filter({ visible: true }).first().waitFor();
  }

  /** Waits for the box that explains an event, in whichever source is in front. */
  async explains(text: string | RegExp): Promise<void> {
    await this.page.locator('.exception-widget', { hasText: text }).first().waitFor();
  }

  /** Waits until no session is left. */
  async ended(): Promise<void> {
    const toolbar = this.page.locator('.debug-toolbar').filter({ visible: true });
    await waitFor('the session to end', async () => (await toolbar.count()) === 0);
  }

  /** Value of a variable as it is shown. */
  async value(name: string): Promise<string> {
    const row = await this.#variable(name);
    return (await row.locator('.value').innerText()).trim();
  }

  /** Sets a variable by editing it in place. */
  async set(name: string, value: string): Promise<void> {
    const row = await this.#variable(name);
    const input = row.locator('.monaco-inputbox input');
    const anyInput = this.variables.pane.locator('.monaco-inputbox input').first();
    await waitFor(`${name} to be edited`, async () => {
      // The tree may have moved under the click: then another variable is being edited.
      if ((await anyInput.isVisible()) && !(await input.isVisible())) await this.page.keyboard.press('Escape');
      await row.locator('.name').first().dblclick();
      return until(() => input.isVisible(), 1000);
    });
    await input.fill(value);
    await this.page.keyboard.press('Enter');
    await input.waitFor({ state: 'hidden' });
  }

  #variable(name: string): Promise<Locator> {
    const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    return this.variables.row(new RegExp(`^\\s*${escaped}\\s*[:=]`));
  }
}

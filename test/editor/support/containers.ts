/** Containers of the side bar. */
import type { Page } from 'playwright-core';
import { until, waitFor } from './until.ts';

/** Shows the container whose icon in the activity bar has a label. */
export async function showContainer(page: Page, label: RegExp): Promise<void> {
  const icon = page.locator('.activitybar').getByRole('tab', { name: label });
  const isShown = async (): Promise<boolean> => (await icon.getAttribute('aria-selected')) === 'true';
  await icon.waitFor();
  await waitFor(`the side bar to show ${label}`, async () => {
    if (await isShown()) return true;
    await icon.click();
    return until(isShown, 1000);
  });
}

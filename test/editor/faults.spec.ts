import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { FrameLocator } from 'playwright-core';
import { lineOf } from './support/source.ts';
import { useEditor } from './support/spec.ts';

describe('Faults and the TLB', () => {
  const spec = useEditor('faults');
  const line = (text: string): number => lineOf(join(spec.editor.workspace, 'pcid/pcid.c'), text);
  /** The page inside the panel that explains a fault. */
  const screen = (): FrameLocator =>
    spec.editor.page.frameLocator('iframe.webview.ready').frameLocator('#active-frame');

  it('stops where a stale TLB entry is used', async () => {
    const { workbench, editor } = spec;
    await workbench.openFile('pcid/pcid.c', line('static char look'));
    const events = await workbench.duneView('Event Breakpoints');
    for (const other of ['VMCS', 'VM Exits', 'Trapped System Calls', 'Page Tables'])
      await (await workbench.duneView(other)).close();
    await events.check('Stale TLB entry used');
    await workbench.press('F5');
    await workbench.debug.explains('stale TLB entry');
    await workbench.debug.show();
    await workbench.debug.stoppedAt('look', `pcid.c ${line('return *(volatile char *)WINDOW')}`);
    await editor.screenshot('1 stale');
  });

  it('explains it on one screen', async () => {
    const { workbench, editor } = spec;
    await workbench.command('Dune: Explain the Fault');
    const page = screen();
    await page.getByRole('heading', { name: 'stale TLB entry used' }).waitFor();
    for (const part of ['PML4E', 'EPT PDPTE', 'Rights in effect', 'INVLPG 0x300000000', 'became', 'EPTP'])
      await page.locator('body', { hasText: part }).waitFor();
    await editor.screenshot('2 fault');
    await page.getByRole('link', { name: `pcid.c:${line('*entry = (physaddr_t)three')}` }).click();
    await editor.page.locator('.tabs-container .tab.active[data-resource-name="pcid.c"]').first().waitFor();
  });

  it('shows the TLB, with what is stale', async () => {
    const { workbench, editor } = spec;
    const tlb = await workbench.duneView('TLB');
    await (await workbench.duneView('Event Breakpoints')).close();
    await tlb.row(/In force.*PCID 1.*1 stale/);
    await workbench.command('Dune: Filter the TLB');
    await workbench.answer('stale');
    await tlb.expand(/^0x300000000.*STALE/);
    await tlb.row(/^Missing\s*INVLPG 0x300000000/);
    await tlb.row(/^The tables say now/);
    await editor.screenshot('3 tlb');
    await workbench.press('F5');
    await workbench.debug.ended();
  });

  it('keeps up with the next fault while it is open, and marks the entry that refused', async () => {
    const { workbench, editor } = spec;
    await workbench.openFile('ept-violation/ept-violation.c');
    await workbench.press('F5');
    const page = screen();
    await page.getByRole('heading', { name: 'EPT violation' }).waitFor();
    const refused = page.locator('table.walk td.refused');
    await refused.filter({ hasText: /0x0[^]*not-present/ }).waitFor();
    await page.locator('table.walk tr', { has: page.locator('td.refused'), hasText: /^page/ }).waitFor();
    assert.equal(await refused.count(), 1);
    await editor.screenshot('4 ept violation');
    await workbench.press('Shift+F5');
    await workbench.debug.ended();
  });
});

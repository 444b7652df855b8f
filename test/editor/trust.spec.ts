import assert from 'node:assert/strict';
import { useEditor } from './support/spec.ts';

describe('An untrusted workspace', () => {
  const spec = useEditor('trust', {
    trustPrompt: true,
    settings: { 'security.workspace.trust.startupPrompt': 'always' },
  });

  it('runs and builds nothing', async () => {
    const { workbench, editor } = spec;
    const { page } = editor;
    await page.getByRole('button', { name: /No, I don't trust/ }).click();
    await workbench.openFile('hello/hello.c', 61);
    await workbench.offersToDebug();
    await workbench.press('F5');
    const question = page.locator('.monaco-dialog-box', { hasText: 'trust' });
    await question.waitFor();
    await editor.screenshot('1 asks for trust');
    await question.getByRole('button', { name: 'Cancel' }).click();
    await question.waitFor({ state: 'hidden' });
    assert.equal(
      await page.locator('.debug-toolbar').filter({ visible: true }).count(),
      0,
      'nothing is being debugged',
    );
    const exits = await workbench.duneView('VM Exits');
    await exits.welcome().waitFor();
    await editor.screenshot('2 nothing runs');
  });
});

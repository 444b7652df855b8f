import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { useEditor } from './support/spec.ts';
import { until, waitFor } from './support/until.ts';

const PROGRAM = `#include <stdio.h>
#include "libdune/dune.h"

int main(void)
{
	unsigned short cs;

	if (dune_init_and_enter())
		return 1;
	__asm__("mov %%cs, %0" : "=r"(cs));
	printf("ring %d of Dune mode\\n", cs & 3);
	return 7;
}
`;

/** A workspace with a source that has not been built, and one that cannot be. */
function workspace(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dune-launch-'));
  writeFileSync(join(folder, 'fresh.c'), PROGRAM);
  writeFileSync(join(folder, 'broken.c'), 'int main(void) { return missing; }\n');
  mkdirSync(join(folder, '.vscode'));
  return folder;
}

describe('Launching', () => {
  const spec = useEditor('launch', { workspace: workspace() });

  it('builds a C file against libdune, and runs it', async () => {
    const { workbench, editor } = spec;
    await workbench.openFile('fresh.c');
    await workbench.offersToDebug();
    await workbench.press('F5');
    await workbench.console.show();
    await workbench.console.shows('ring 0 of Dune mode');
    await workbench.console.shows('ended with exit code 7');
    await workbench.debug.ended();
    await editor.screenshot('1 built and run');
  });

  it('debugs a program that is the file in front', async () => {
    const { workbench, editor } = spec;
    await workbench.openInExplorer('fresh');
    await editor.page.keyboard.press('F5');
    await workbench.console.shows('ended with exit code 7');
    await workbench.debug.ended();
    await editor.screenshot('2 binary');
  });

  it('shows the errors of the compiler where they are', async () => {
    const { workbench, editor } = spec;
    await workbench.openFile('broken.c');
    const dialog = editor.page.locator('.monaco-dialog-box');
    await waitFor('the failed build', async () => {
      await workbench.press('F5');
      return until(() => dialog.isVisible(), 5000);
    });
    await editor.screenshot('3 does not compile');
    await dialog.getByRole('button', { name: 'Abort' }).click();
    await editor.page.locator('.squiggly-error').first().waitFor();
    await editor.screenshot('3 problem');
  });

  it('says in one message why a launch failed', async () => {
    const { workbench, editor } = spec;
    const configuration = { type: 'dune', request: 'launch', name: 'Absent', program: '${workspaceFolder}/absent' };
    writeFileSync(
      join(editor.workspace, '.vscode/launch.json'),
      JSON.stringify({ version: '0.2.0', configurations: [configuration] }),
    );
    await workbench.openFile('fresh.c');
    await editor.page.locator('.statusbar-item', { hasText: 'Absent' }).waitFor();
    await workbench.press('F5');
    const message = workbench.messages().filter({ hasText: /absent.*does not exist.*build it first/ });
    await message.first().waitFor();
    assert.equal(await workbench.messages().count(), 1);
    await editor.screenshot('4 launch error');
  });
});

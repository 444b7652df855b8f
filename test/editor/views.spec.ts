import assert from 'node:assert/strict';
import { useEditor } from './support/spec.ts';

describe('The Dune container', () => {
  const spec = useEditor('views');

  it('has six views, each of which says something while nothing runs', async () => {
    const { workbench, editor } = spec;
    const welcomes = {
      'Page Tables': 'page tables of CR3',
      VMCS: 'field of the VMCS',
      TLB: 'What the TLB has cached',
      'VM Exits': 'VM exits are logged',
    };
    for (const [title, text] of Object.entries({ ...welcomes, 'Trapped System Calls': 'System calls are logged' })) {
      const view = await workbench.duneView(title);
      await view.welcome().filter({ hasText: text }).waitFor();
    }
    const events = await workbench.duneView('Event Breakpoints');
    await events.row('Guest page fault');
    await editor.screenshot('views');
    assert.equal(await workbench.messages().count(), 0);
  });
});

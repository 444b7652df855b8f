import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EVENT_FILTERS } from '../../debug-adapter/breakpoints/event-filters.ts';
import { manifest } from '../../scripts/build/manifest.ts';

interface Contributes {
  commands: { command: string }[];
  menus: Record<string, { command: string }[]>;
  views: { dune: { id: string; icon: string }[] };
  viewsWelcome: { view: string; contents: string }[];
  debuggers: {
    configurationAttributes: { launch: { required: string[]; properties: Record<string, Record<string, unknown>> } };
  }[];
}

describe('package.json', () => {
  const { present, generated } = manifest();
  const { contributes } = JSON.parse(present) as { contributes: Contributes };

  it('has the launch attributes of debug-adapter/launch-options.ts', () => {
    assert.deepEqual(JSON.parse(present), JSON.parse(generated), 'run: npx tsx scripts/build/manifest.ts');
  });

  it('describes every launch attribute and gives each a default or requires it', () => {
    const { required, properties } = contributes.debuggers[0]!.configurationAttributes.launch;
    for (const [name, schema] of Object.entries(properties)) {
      assert.ok(schema.markdownDescription, `${name} has no description`);
      assert.ok(required.includes(name) || 'default' in schema, `${name} is neither required nor has a default`);
    }
  });

  it('has only menus of commands that exist, and icons that exist', () => {
    const commands = new Set(contributes.commands.map(({ command }) => command));
    for (const { command } of Object.values(contributes.menus).flat()) assert.ok(commands.has(command), command);
    const root = new URL('../../', import.meta.url);
    for (const { icon } of contributes.views.dune) assert.ok(existsSync(fileURLToPath(new URL(icon, root))), icon);
  });

  it('says something in every view that can be empty', () => {
    const welcomed = new Set(contributes.viewsWelcome.map(({ view }) => view));
    for (const { id } of contributes.views.dune)
      assert.ok(welcomed.has(id) || (id === 'dune.eventBreakpoints' && EVENT_FILTERS.length > 0), id);
  });
});

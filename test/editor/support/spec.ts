/** An editor for the tests of one file: opened before them, photographed when one fails, closed after them. */
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openEditor, type Editor, type EditorOptions } from './server.ts';
import { openWebEditor } from './web-server.ts';
import { Workbench } from './workbench.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

export interface EditorSpec {
  /** Valid inside tests. */
  readonly workbench: Workbench;
  readonly editor: Editor;
}

/** The same in VS Code for the web. */
export function useWebEditor(name: string): EditorSpec {
  return use(name, (directory) =>
    openWebEditor({ directory, extension: join(root, 'build/vsix'), workspace: join(root, 'examples') }),
  );
}

/** Call inside `describe`. `name` is the folder of the results. */
export function useEditor(name: string, options: Partial<EditorOptions> = {}): EditorSpec {
  return use(name, (directory, vsix) => openEditor({ directory, vsix, workspace: join(root, 'examples'), ...options }));
}

function use(name: string, open: (directory: string, vsix: string) => Promise<Editor>): EditorSpec {
  const results = resolve(process.env.DUNE_EDITOR_RESULTS ?? join(root, 'test-results/editor'));
  const spec = {} as { workbench: Workbench; editor: Editor };
  before(async function () {
    this.timeout(120_000);
    const vsix = process.env.DUNE_VSIX;
    if (!vsix) throw new Error('The editor tests are run by: npm run test:editor');
    const directory = join(results, name);
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    spec.editor = await open(directory, vsix);
    spec.workbench = new Workbench(spec.editor.page);
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await spec.editor?.screenshot(`failed ${this.currentTest.title}`);
  });
  after(() => spec.editor?.close());
  return spec;
}

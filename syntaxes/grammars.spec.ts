import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assembleObject } from '../emulator/assembler/index.ts';
import { allMnemonics } from '../emulator/assembler/mnemonics.ts';
import { REGISTERS } from '../emulator/assembler/registers.ts';
import { buildGrammars } from '../scripts/build/grammars.ts';
import { wordsOfTables } from './grammar.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Manifest {
  readonly contributes: {
    readonly languages: readonly object[];
    readonly grammars: readonly { readonly scopeName: string; readonly path: string }[];
  };
}

/** Scopes of every file in testdata/ against its .snap; `BLESS=1` writes them anew. */
describe('grammars', () => {
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dune-grammars-'));
    await buildGrammars(folder);
    // The manifest's entries, for the grammars just made.
    const { contributes } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
    const grammars = contributes.grammars.map((entry) => ({ ...entry, path: entry.path.replace('./dist/', './') }));
    copyFileSync(join(root, 'syntaxes/testdata/c.tmLanguage.json'), join(folder, 'c.tmLanguage.json'));
    grammars.push({ scopeName: 'source.c', path: './c.tmLanguage.json' });
    writeFileSync(config(), JSON.stringify({ contributes: { languages: contributes.languages, grammars } }));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const config = (): string => join(folder, 'package.json');
  const cases = { 'source.gas': '*.{s,S}', 'source.c': '*.c', 'source.dune-trace': '*.jsonl' };
  for (const [scope, files] of Object.entries(cases))
    it(`give the words of ${files} their scopes (${scope})`, function () {
      this.timeout(60_000);
      const run = spawnSync(
        process.execPath,
        [
          join(root, 'node_modules/vscode-tmgrammar-test/dist/snapshot.js'),
          ...['--config', config(), '--scope', scope],
          ...(process.env.BLESS ? ['--updateSnapshot'] : []),
          `syntaxes/testdata/${files}`,
        ],
        { cwd: root, encoding: 'utf8', env: { ...process.env, FORCE_COLOR: '0' } },
      );
      assert.equal(run.status, 0, `${run.stdout}${run.stderr}`);
    });

  it('know every mnemonic and register of the assembler, each in one class', () => {
    const { branches, privileged, ordinary, registers } = wordsOfTables();
    const words = [...branches, ...privileged, ...ordinary];
    assert.deepEqual(new Set(words), new Set(allMnemonics().keys()));
    assert.equal(new Set(words).size, words.length);
    assert.ok(
      branches.includes('jne') &&
        privileged.includes('wrmsr') &&
        ordinary.includes('addq') &&
        ordinary.includes('pushal'),
    );
    for (const name of REGISTERS.keys()) assert.ok(name.startsWith('st(') || registers.includes(name), name);
  });
});

describe('snippets', () => {
  const snippets = JSON.parse(readFileSync(join(root, 'syntaxes/gas.snippets.json'), 'utf8')) as Record<
    string,
    { body: string[] }
  >;
  for (const [name, { body }] of Object.entries(snippets))
    it(`${name} assembles`, () => {
      const text = body
        .join('\n')
        .replace(/\$\{\d+:([^}]*)\}/g, '$1')
        .replace(/(?<!\\)\$\d+/g, '')
        .replaceAll('\\$', '$');
      assert.deepEqual(assembleObject('snippet.s', text).diagnostics, []);
    });
});

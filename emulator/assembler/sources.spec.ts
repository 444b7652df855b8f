/** Whole sources, as gcc writes them, against GNU as: the same sections and relocations. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GnuAs, hasGnuAs } from './gnu-test-support.ts';
import { assembleObject } from './index.ts';

const ROOT = join(import.meta.dirname, '../..');
const hasGcc = spawnSync('gcc', ['--version']).status === 0;

const files = (folder: string, suffix: string): string[] =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(ROOT, folder, name));

/** What the compiler makes of a source: assembly. */
function compile(path: string, ...options: string[]): string {
  const mode = path.endsWith('.S') ? '-E' : '-S';
  const include = `-iquote${join(ROOT, 'libdune')}`;
  return execFileSync('gcc', [mode, '-o', '-', include, ...options, path], { encoding: 'latin1', maxBuffer: 1 << 28 });
}

const VARIANTS = [
  ['-O2'],
  ['-O2', '-g'],
  ['-O2', '-gdwarf-4'],
  ['-O0', '-fpic'],
  ['-O3', '-march=x86-64-v3', '-masm=intel'],
  ['-O1', '-mfpmath=387'],
];

describe('assembler: sources', function () {
  this.timeout(180_000);
  const gnu = new GnuAs();
  before(function () {
    if (!hasGnuAs || !hasGcc) this.skip();
  });
  after(() => gnu.dispose());

  const check = (path: string, options: readonly string[]): void => {
    it(`${path.slice(ROOT.length + 1)} ${options.join(' ')}`, () => {
      const source = compile(path, ...options);
      const { object, diagnostics } = assembleObject('source.s', source);
      assert.deepEqual(
        diagnostics
          .filter(({ severity }) => severity === 'error')
          .map(({ line, message }) => `${line + 1}: ${message}`),
        [],
      );
      compare(object!, source);
    });
  };
  const compare = (object: Uint8Array, source: string): void => {
    const ours = gnu.sectionsOf(object);
    for (const [name, want] of gnu.object(source)) {
      // Made by GNU as of the instructions it saw.
      if (name === '.note.gnu.property') continue;
      const got = ours.get(name);
      assert.ok(got, `section ${name} is missing`);
      assert.ok(Buffer.compare(want.bytes, got.bytes) === 0, `${name}: ${firstDifference(want.bytes, got.bytes)}`);
      if (!name.startsWith('.debug')) assert.deepEqual(got.relocations.sort(), want.relocations.sort(), name);
    }
  };
  for (const path of files('libdune', '.S')) check(path, []);
  for (const path of files('libdune', '.S'))
    it(`${path.slice(ROOT.length + 1)}, preprocessed here`, () => {
      const include = (name: string): string => readFileSync(join(ROOT, 'libdune', name), 'latin1');
      const { object, diagnostics } = assembleObject(path, readFileSync(path, 'latin1'), { include });
      assert.deepEqual(diagnostics, []);
      compare(object!, compile(path));
    });
  for (const path of files('libdune', '.c')) check(path, ['-O2', '-g']);
  for (const path of files('bench/programs', '.c').slice(0, 6)) for (const options of VARIANTS) check(path, options);
});

function firstDifference(want: Uint8Array, got: Uint8Array): string {
  let at = 0;
  while (at < want.length && want[at] === got[at]) at++;
  const near = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(at, at + 8)).toString('hex');
  return `at ${at.toString(16)} of ${want.length.toString(16)}/${got.length.toString(16)}: wanted ${near(want)}, got ${near(got)}`;
}

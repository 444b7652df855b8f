/** Sources with something wrong in them, edited and asked about anywhere: every request is answered. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestClient } from './client-test-support.ts';

const ROOT = join(import.meta.dirname, '..');
const SOURCES = [
  'examples/asm-pagefault/asm-pagefault.s',
  'examples/bare-timer/boot.S',
  'language-server/testdata/kernel.S',
  'language-server/testdata/boot.s',
  'libdune/dune.S',
  'libdune/rings.S',
];
const WORDS = ['#define x(a', '#if', '#else\n', '#endif\n', '\\\n', '.code16\n', '.macro m a\n', '.endm\n', '"', "'", '/*', '*/', '%', '$', '(', '\\a', '1:', ';', ',', '\n', '.intel_syntax\n', 'x = x', '#include "kernel.S"\n', '\u{1f600}']; // prettier-ignore

const REQUESTS = [
  'textDocument/hover', 'textDocument/completion', 'textDocument/definition', 'textDocument/documentHighlight', 'textDocument/prepareRename',
  'textDocument/signatureHelp', 'textDocument/prepareCallHierarchy', 'textDocument/documentSymbol', 'textDocument/foldingRange',
  'textDocument/semanticTokens/full', 'textDocument/codeLens',
] as const; // prettier-ignore

describe('language server: robustness', function () {
  this.timeout(180_000);
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
  let state = seed;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };

  it(`answers every request about sources that are edited at random (SEED=${seed})`, async () => {
    const client = new TestClient();
    await client.initialize({ encodingHints: 'bytes' });
    for (let round = 0; round < 20; round++) {
      const path = SOURCES[round % SOURCES.length]!;
      const uri = `file://${join(ROOT, path)}.${round}.${path.endsWith('S') ? 'S' : 's'}`;
      let text = readFileSync(join(ROOT, path), 'utf8');
      await client.open(uri, text);
      for (let version = 2; version < 10; version++) {
        const lines = text.split('\n');
        const line = below(lines.length);
        const from = below(lines[line]!.length + 1);
        const to = Math.min(lines[line]!.length, from + below(5));
        const word = below(3) === 0 ? '' : WORDS[below(WORDS.length)]!;
        lines[line] = lines[line]!.slice(0, from) + word + lines[line]!.slice(to);
        text = lines.join('\n');
        const made = text.split('\n');
        for (const { range } of await client.edit(uri, version, line, from, to, word))
          assert.ok(
            range.start.line < made.length && range.start.character <= made[range.start.line]!.length + 1,
            text,
          );
        const at = below(made.length);
        const position = { line: at, character: below(made[at]!.length + 1) };
        const whole = { start: { line: 0, character: 0 }, end: { line: made.length, character: 0 } };
        for (const method of REQUESTS) await client.request(method, { textDocument: { uri }, position });
        await client.request('textDocument/references', {
          textDocument: { uri },
          position,
          context: { includeDeclaration: true },
        });
        await client.request('textDocument/inlayHint', { textDocument: { uri }, range: whole });
        await client.request('textDocument/formatting', {
          textDocument: { uri },
          options: { tabSize: 8, insertSpaces: true },
        });
      }
      await client.connection.sendNotification('textDocument/didClose', { textDocument: { uri } });
    }
    client.dispose();
  });
});

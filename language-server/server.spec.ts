import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { assembleObject } from '../emulator/assembler/index.ts';
import { TestClient } from './client-test-support.ts';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);

/** What the server said against golden/<name>.txt; BLESS=1 accepts it, a mismatch leaves `.actual` beside it. */
function golden(name: string, text: string): void {
  const path = join(here, 'golden', `${name}.txt`);
  if (!existsSync(path) || process.env.BLESS) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return;
  }
  if (readFileSync(path, 'utf8') === text) return rmSync(`${path}.actual`, { force: true });
  writeFileSync(`${path}.actual`, text);
  assert.fail(`The transcript differs from golden/${name}.txt: see ${name}.txt.actual (BLESS=1 accepts it).`);
}

/** JSON, an element of a list in a line, ranges in short. */
function written(value: unknown): string {
  const short = (part: unknown): string =>
    JSON.stringify(part, (_key, of: unknown) => {
      const range = of as {
        start?: { line: number; character: number };
        end?: { line: number; character: number };
      } | null;
      return range?.start && range.end && Object.keys(range).length === 2
        ? `${range.start.line}:${range.start.character}-${range.end.line}:${range.end.character}`
        : of;
    });
  const lines = Array.isArray(value) ? value.map(short) : [short(value)];
  return lines.join('\n').replace(/(?<!\\)\\n/g, '\n    ');
}

class Transcript {
  text = '';

  constructor(
    readonly client: TestClient,
    readonly uri: string,
    readonly source: string,
  ) {}

  /** Position of a text; `|` in it is where the cursor stands. */
  position(marked: string): { line: number; character: number } {
    const at = this.source.indexOf(marked.replace('|', ''));
    assert.ok(at >= 0, marked);
    const before = this.source.slice(0, at + Math.max(0, marked.indexOf('|'))).split('\n');
    return { line: before.length - 1, character: before.at(-1)!.length };
  }
  async ask(method: string, marked: string, more: object = {}): Promise<unknown> {
    const at = marked === '' ? {} : { position: this.position(marked) };
    const params = { textDocument: { uri: this.uri }, ...at, ...more };
    const answer = await this.client.request(method, params).catch((error: Error) => `error: ${error.message}`);
    this.say(
      `${method} ${JSON.stringify(marked)}${Object.keys(more).length ? ` ${JSON.stringify(more)}` : ''}`,
      answer,
    );
    return answer;
  }
  say(what: string, answer: unknown): void {
    const said = `--> ${what}\n${written(answer)}\n\n`;
    this.text += said.replaceAll(pathToFileURL(join(here, 'testdata')).href, 'testdata:');
  }
}

/** Whole lines: the range ends where the line after the last one begins. */
function lines(first: number, last: number): Lines {
  return { start: { line: first, character: 0 }, end: { line: last + 1, character: 0 } };
}
interface Lines {
  readonly start: { readonly line: number; readonly character: number };
  readonly end: { readonly line: number; readonly character: number };
}

/** Semantic tokens with lines and columns instead of distances from the token before. */
function absolute({ data }: { readonly data: readonly number[] }): number[][] {
  const tokens: number[][] = [];
  let [line, start] = [0, 0];
  for (let at = 0; at < data.length; at += 5) {
    const [down, right, ...rest] = data.slice(at, at + 5) as [number, number, ...number[]];
    start = down ? right : start + right;
    line += down;
    tokens.push([line, start, ...rest]);
  }
  return tokens;
}

/** DiagnosticSeverity.Hint. */
const HINT = 4;

describe('language server', () => {
  let client: TestClient;
  const transcripts = new Map<string, Transcript>();
  const open = async (name: string): Promise<Transcript> => {
    const path = join(here, 'testdata', name);
    const transcript = new Transcript(client, pathToFileURL(path).href, readFileSync(path, 'utf8'));
    transcript.say(`open ${name}`, await client.open(transcript.uri, transcript.source));
    transcripts.set(name, transcript);
    return transcript;
  };
  before(async () => {
    client = new TestClient();
    await client.initialize({
      libduneHeader: readFileSync(join(root, 'libdune/dune.h'), 'utf8'),
      encodingHints: 'bytes',
      includeFolders: [`${pathToFileURL(join(here, 'testdata/include')).href}/`],
    });
  });
  after(() => client.dispose());

  it('reports every error of a source, each where it is', async () => {
    const transcript = await open('errors.s');
    golden('errors', transcript.text);
  });

  it('explains what is under the cursor', async () => {
    const transcript = await open('guest.s');
    for (const place of [
      ...[
        '|hlt',
        '|vmread',
        'mov	|%cr3',
        'l|retq',
        '|write_msr LSTAR',
        '|.type	_start',
        '$0x|681e',
        '$0x|83',
        '$KERNEL|_CODE',
      ],
      ...['call	h|elper', 'dune_|enter', 'LST|AR, 7', '$4|8', '0x1|067', '|jnz', '%e|di\n	jnz', '|_start:'],
    ])
      await transcript.ask('textDocument/hover', place);
    golden('hover', transcript.text);
  });

  it('finds definitions and uses, and renames', async () => {
    const transcript = new Transcript(client, transcripts.get('guest.s')!.uri, transcripts.get('guest.s')!.source);
    for (const place of ['call	h|elper', '$KERNEL|_CODE', '|write_msr LSTAR', 'lea	|1f', 'jnz	|1b', '"guest|.inc'])
      await transcript.ask('textDocument/definition', place);
    await transcript.ask('textDocument/references', 'call	h|elper', { context: { includeDeclaration: true } });
    await transcript.ask('textDocument/documentHighlight', 'jnz	|1b');
    await transcript.ask('textDocument/documentHighlight', 'dec	|%edi');
    await transcript.ask('textDocument/prepareRename', 'call	h|elper');
    await transcript.ask('textDocument/rename', 'call	h|elper', { newName: 'assistant' });
    await transcript.ask('textDocument/rename', 'jnz	|1b', { newName: '2' });
    await transcript.ask('textDocument/rename', 'call	h|elper', { newName: 'count' });
    await transcript.ask('textDocument/rename', 'call	h|elper', { newName: '4ever' });
    await transcript.ask('textDocument/prepareRename', '|hlt');
    golden('navigation', transcript.text);
  });

  it('outlines a source', async () => {
    const transcript = new Transcript(client, transcripts.get('guest.s')!.uri, transcripts.get('guest.s')!.source);
    await transcript.ask('textDocument/documentSymbol', '');
    await transcript.ask('workspace/symbol', '', { query: 'hlp' });
    await transcript.ask('textDocument/foldingRange', '');
    await transcript.ask('textDocument/codeLens', '');
    await transcript.ask('textDocument/semanticTokens/full', '');
    const range = { start: { line: 7, character: 0 }, end: { line: 20, character: 0 } };
    await transcript.ask('textDocument/inlayHint', '', { range });
    const [item] = (await transcript.ask('textDocument/prepareCallHierarchy', '|helper:')) as object[];
    await transcript.ask('callHierarchy/incomingCalls', '', { item });
    const [start] = (await transcript.ask('textDocument/prepareCallHierarchy', '|_start:')) as object[];
    await transcript.ask('callHierarchy/outgoingCalls', '', { item: start });
    golden('outline', transcript.text);
  });

  it('completes what can stand there', async () => {
    const source = transcripts.get('guest.s')!;
    const transcript = new Transcript(client, source.uri, source.source);
    const labels = async (marked: string, wanted: RegExp): Promise<void> => {
      const items = await client.request<{ label: string; detail?: string; textEdit: { newText: string } }[]>(
        'textDocument/completion',
        { textDocument: { uri: source.uri }, position: transcript.position(marked) },
      );
      const shown = items.filter(({ label }) => wanted.test(label));
      transcript.say(
        `completion ${JSON.stringify(marked)}, of them ${wanted}`,
        shown.map(({ label, detail, textEdit }) => `${label} | ${detail ?? ''} | ${textEdit.newText}`),
      );
    };
    await labels('vmr|ead', /^vmr|^write/);
    await labels('mov	%|cr3', /^%cr[0-4]/);
    await labels('.ty|pe	_start', /^\.(type|text|quad)$/);
    await labels('$|0x681e', /^(VMCS_GUEST_RIP|MSR_LSTAR|EXIT_REASON_HLT|KERNEL_CODE|helper|dune_init)$/);
    await labels('call	|helper', /^(helper|_start|done|dune_enter)$/);
    const resolved = await client.request('completionItem/resolve', {
      label: 'vmxon',
      data: { mnemonic: 'vmxon', syntax: 'att' },
    });
    transcript.say('resolve vmxon', resolved);
    await transcript.ask('textDocument/signatureHelp', 'write_msr LSTAR, |7');
    await transcript.ask('textDocument/signatureHelp', '.globl	|_start');
    golden('completion', transcript.text);
  });

  it('sees preprocessed sources as the preprocessor does', async () => {
    const transcript = await open('kernel.S');
    for (const name of ['include/broken.inc', 'include/kernel.h']) {
      const uri = pathToFileURL(join(here, 'testdata', name)).href;
      transcript.say(`diagnostics of ${name}`, client.diagnostics.get(uri) ?? 'none');
    }
    for (const place of [
      '|LOAD(',
      '(MSR_|EFER)',
      '$EFER|_LME',
      '$MSR|_EFER',
      '|PUSH(STACK)',
      '$STA|CK, %esp',
      '|store',
      'LONG|_LINE(1',
      '|hlt',
      '|_start:',
    ])
      await transcript.ask('textDocument/hover', place);
    for (const place of ['|LOAD(', '$EFER|_LME', '"ker|nel.h', '<bro|ken', '|store', '(STA|CK)'])
      await transcript.ask('textDocument/definition', place);
    await transcript.ask('textDocument/references', '$STA|CK', { context: { includeDeclaration: true } });
    await transcript.ask('textDocument/rename', '|PUSH(STACK)', { newName: 'PUSH_ALL' });
    await transcript.ask('textDocument/rename', '$EFER|_LME', { newName: 'LONG_MODE' });
    await transcript.ask('textDocument/documentSymbol', '');
    await transcript.ask('textDocument/foldingRange', '');
    await transcript.ask('textDocument/semanticTokens/full', '');
    const range = { start: { line: 12, character: 0 }, end: { line: 30, character: 0 } };
    await transcript.ask('textDocument/inlayHint', '', { range });
    await transcript.ask('textDocument/codeLens', '');
    const items = await client.request<{ label: string; detail?: string }[]>('textDocument/completion', {
      textDocument: { uri: transcript.uri },
      position: transcript.position('$STA|CK, %esp'),
    });
    const wanted = items.filter(({ label }) => /^(STACK|EFER_LME|MSR_EFER|PUSH|LOAD)$/.test(label));
    transcript.say(
      'completion',
      wanted.map(({ label, detail }) => `${label} | ${detail}`),
    );
    const edits = await client.request<{ range: object }[]>('textDocument/formatting', {
      textDocument: { uri: transcript.uri },
      options: { tabSize: 8, insertSpaces: false },
    });
    transcript.say('textDocument/formatting', edits);
    golden('preprocessed', transcript.text);
  });

  it('follows an included file through edits, and takes back what it said of it', async () => {
    const [main, part] = ['file:///included/main.s', 'file:///included/part.inc'];
    const shown = (uri: string): string[] => (client.diagnostics.get(uri) ?? []).map(({ message }) => message);
    await client.open(part, '\tmov\t%eax\n');
    await client.open(main, '\t.include "part.inc"\n\tnop\n');
    const wrong = '`mov` takes 2 operands, not 1';
    assert.deepEqual([shown(main), shown(part)], [[`part.inc:1: ${wrong}`], [wrong]]);
    const fixed = client.next(main, 1);
    await client.edit(part, 2, 0, 5, 9, '%eax, %ebx');
    await fixed;
    assert.deepEqual([shown(main), shown(part)], [[], []]);
  });

  /** Opens a source and answers what edits a line of it, after which the diagnostics must be those of the whole text. Hints are left aside. */
  const typist = async (uri: string, initial: string) => {
    let text = initial;
    await client.open(uri, text);
    let version = 1;
    return async (line: number, from: number, to: number, insert: string): Promise<void> => {
      const lines = text.split('\n');
      lines[line] = lines[line]!.slice(0, from) + insert + lines[line]!.slice(to);
      text = lines.join('\n');
      const shown = await client.edit(uri, ++version, line, from, to, insert);
      const expected = assembleObject(uri, text).diagnostics;
      assert.deepEqual(
        shown
          .filter(({ severity }) => severity !== HINT)
          .map(({ message, range }) => `${range.start.line}:${range.start.character} ${message}`)
          .sort(),
        expected.map(({ message, line: at, column }) => `${at}:${column} ${message}`).sort(),
        text,
      );
    };
  };

  it('says the same of a keystroke in a preprocessed source as of the whole', async () => {
    const type = await typist(
      'file:///typing.S',
      '#define N 300\n#define OP mov\n#if 0\nbad\n#endif\nf:\tmov\t$N, %eax\n1:\tnop\n\tret\n',
    );
    await type(7, 1, 4, 'OP\t%eax, %rbx');
    await type(7, 1, 3, 'add');
    await type(7, 0, 0, '\tmov\t$N, %al\n\tmvo\n');
    await type(3, 0, 3, 'worse');
    await type(2, 4, 5, '1');
    await type(2, 4, 5, '0 ');
    await type(8, 1, 4, 'OP(%eax');
  });

  it('knows the modes of boot code', async () => {
    const transcript = await open('boot.s');
    for (const place of ['|movl', '|pusha', '|ljmp', '|lgdtl', '|jcxz', 'pus|h	%rax'])
      await transcript.ask('textDocument/hover', place);
    const labels = async (marked: string, wanted: RegExp): Promise<void> => {
      const items = (await client.request<{ label: string }[]>('textDocument/completion', {
        textDocument: { uri: transcript.uri },
        position: transcript.position(marked),
      })) as { label: string }[];
      transcript.say(
        `completion ${JSON.stringify(marked)}, of them ${wanted}`,
        items.map(({ label }) => label).filter((label) => wanted.test(label)),
      );
    };
    await labels('|jcxz', /^(jc|jr|je)xz$|^pusha|^swapgs|^lgdt/);
    await labels('pus|h	%rax', /^(jc|jr|je)xz$|^pusha|^swapgs|^lgdt/);
    await labels('%|cr0', /^%[re]?(ax|8)$|^%[sc]il$/);
    await labels('%r|ax\ntable', /^%[re]?(ax|8)$|^%[sc]il$/);
    golden('boot', transcript.text);
  });

  it('lines up columns and changes no byte', async () => {
    const text = [
      'start: mov $1,%eax#comment',
      '  lea 8( %rax ,%rbx,4 ),%rcx',
      '\t.ascii "a,b",  "c"   // text',
      'a_long_label: .quad 0,1',
      'X=3',
      '1: rep   movsb',
      '# a comment',
      '/* two',
      '   lines */ nop',
      'nop; nop',
      '',
    ].join('\n');
    const uri = 'file:///format.s';
    await client.open(uri, text);
    const edits = await client.request<{ range: { start: { line: number } }; newText: string }[]>(
      'textDocument/formatting',
      { textDocument: { uri }, options: { tabSize: 8, insertSpaces: false } },
    );
    const lines = text.split('\n');
    for (const { range, newText } of edits) lines[range.start.line] = newText;
    assert.deepEqual(lines, [
      'start:\tmov\t$1, %eax\t\t#comment',
      '\tlea\t8( %rax ,%rbx,4 ), %rcx',
      '\t.ascii\t"a,b", "c"\t\t// text',
      'a_long_label: .quad 0, 1',
      'X = 3',
      '1:\trep movsb',
      '# a comment',
      '/* two',
      '   lines */ nop',
      'nop; nop',
      '',
    ]);
    assert.deepEqual(assembleObject('a.s', lines.join('\n')).object, assembleObject('a.s', text).object);
  });

  it('formats and colours a range as it does the whole, and nothing outside it', async () => {
    type Edit = { range: { start: { line: number; character: number } } };
    for (const name of ['untidy.s', 'kernel.S']) {
      const transcript = await open(name);
      const { source } = transcript;
      const count = source.split('\n').length;
      const options = { tabSize: 8, insertSpaces: false };
      const whole = (await transcript.ask('textDocument/formatting', '', { options })) as Edit[];
      const all = absolute((await transcript.ask('textDocument/semanticTokens/full', '')) as { data: number[] });
      const ranges = [
        ...[lines(3, 9), lines(10, 24), lines(12, 12), lines(0, 0), lines(0, count), lines(count - 3, count + 5)],
        { start: { line: 4, character: 3 }, end: { line: 11, character: 2 } },
      ];
      for (const range of ranges) {
        const edits = await transcript.ask('textDocument/rangeFormatting', '', { options, range });
        const within = ({ start: { line } }: Edit['range']): boolean =>
          line >= range.start.line && (line < range.end.line || (line === range.end.line && range.end.character > 0));
        assert.deepEqual(
          edits,
          whole.filter((edit) => within(edit.range)),
        );
        const tokens = await transcript.ask('textDocument/semanticTokens/range', '', { range });
        assert.deepEqual(
          absolute(tokens as { data: number[] }),
          all.filter(([line]) => within({ start: { line: line!, character: 0 } })),
        );
      }
      golden(`ranges-${name}`, transcript.text);
    }
  });

  it('says the same of a keystroke as of the whole source', async () => {
    const type = await typist('file:///typing.s', '\t.set\tN, 300\nf:\tmov\t$N, %eax\n1:\tnop\n\tret\n');
    await type(3, 1, 4, 'add\t%eax, %rbx');
    await type(3, 0, 0, '\tmov\t$N, %al\n');
    await type(4, 0, 0, '\tjmp\t1b\n\tjmp\t2f\n');
    await type(4, 0, 0, '2:\n');
    await type(0, 9, 13, 'N, 30');
  });
});

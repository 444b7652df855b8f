/** Directives of the line table. */
import type { Cursor } from './cursor.ts';
import type { Directive } from './directives.ts';
import type { Location } from './line-marks.ts';

const MOST_FILES = 0x10000n;
const MOST = 0xffff_ffffn;

function bounded(cursor: Cursor, what: string, most = MOST): number {
  const start = cursor.at;
  const number = cursor.number() ?? cursor.fail(`expected ${what}`);
  if (number > most) cursor.fail(`${number} is too large: ${what} is at most ${most}`, start);
  return Number(number);
}

/** `.file "name"`; `.file number "directory" "name" md5 number`. */
const file: Directive = (assembler, cursor) => {
  if (cursor.peek() === '"') {
    cursor.quoted();
    return cursor.end();
  }
  const start = cursor.at;
  const number = bounded(cursor, 'a file number', MOST_FILES);
  const first = cursor.quoted();
  const second = cursor.peek() === '"' ? cursor.quoted() : undefined;
  let md5: bigint | undefined;
  if (cursor.word('md5')) md5 = cursor.number() ?? cursor.fail('expected a checksum of 128 bits');
  cursor.end();
  const { table } = assembler.lines;
  const [directory, path] = second === undefined ? [undefined, first] : [first, second];
  if (!table.add(number, directory, path, md5)) cursor.fail(`file number ${number} is already another file's`, start);
};

const OPTIONS: Readonly<Record<string, (cursor: Cursor) => Partial<Location>>> = {
  basic_block: () => ({ basicBlock: true }),
  prologue_end: () => ({ prologueEnd: true }),
  epilogue_begin: () => ({ epilogueBegin: true }),
  is_stmt: (cursor) => ({ isStatement: bounded(cursor, '0 or 1', 1n) === 1 }),
  isa: (cursor) => ({ isa: bounded(cursor, 'a number of the instruction set') }),
  discriminator: (cursor) => ({ discriminator: bounded(cursor, 'a discriminator') }),
};

/** `.loc file line column options`; `view NAME` makes a symbol of the number of this row at its address, `view -0` makes that 0. */
const loc: Directive = (assembler, cursor) => {
  const { lines } = assembler;
  const start = cursor.at;
  const location: Partial<Location> = { file: bounded(cursor, 'a file number', MOST_FILES) };
  if (!lines.table.files[location.file!]) cursor.fail(`there is no \`.file ${location.file}\``, start);
  location.line = bounded(cursor, 'a line number');
  if (/\d/.test(cursor.peek())) location.column = bounded(cursor, 'a column');
  let view: string | 'restart' | undefined;
  while (!cursor.done) {
    const at = cursor.at;
    const name = cursor.name('an option of `.loc`');
    const option = OPTIONS[name];
    if (option) Object.assign(location, option(cursor));
    else if (name !== 'view') cursor.fail(`\`${name}\` is not an option of \`.loc\``, at);
    else if (cursor.take('-')) {
      cursor.number();
      view = RESTART;
    } else if (/\d/.test(cursor.peek())) cursor.number();
    else view = cursor.name('a symbol for the view');
  }
  lines.loc(location);
  if (view === undefined) return;
  const number = lines.flush(view === RESTART);
  if (view !== RESTART) assembler.symbol(view).expression = { kind: 'number', value: BigInt(number) };
};
const RESTART = '-0';

export const lineDirectives: Readonly<Record<string, Directive>> = {
  file,
  loc,
  line: (_assembler, cursor) => void cursor.number(),
  ln: (_assembler, cursor) => void cursor.number(),
  loc_mark_labels: (_assembler, cursor) => void (cursor.at = cursor.text.length),
};

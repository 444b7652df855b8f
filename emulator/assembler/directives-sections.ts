/** Directives that choose sections, files and lines. */
import { SHF, SHT } from '../elf/constants.ts';
import type { Assembler } from './assembler.ts';
import type { Cursor } from './cursor.ts';
import type { Directive } from './directives.ts';
import { AssemblyError, type CodeBits } from './model.ts';

const FLAGS: Readonly<Record<string, number>> = {
  a: SHF.alloc,
  w: SHF.write,
  x: SHF.execute,
  M: SHF.merge,
  S: SHF.strings,
  G: SHF.group,
  T: SHF.tls,
  e: SHF.exclude,
  // Flags without a meaning here: retained, link order, large, inherited.
  ...{ R: 0, o: 0, l: 0, d: 0, '?': 0 },
};
const TYPES: Readonly<Record<string, number>> = {
  progbits: SHT.progbits,
  nobits: SHT.nobits,
  note: SHT.note,
  init_array: SHT.initArray,
  fini_array: SHT.finiArray,
  preinit_array: SHT.preinitArray,
  unwind: SHT.unwind,
};

/** `name, "flags", @type, entsize, group, comdat`. */
function chooseSection(assembler: Assembler, cursor: Cursor): void {
  const name = sectionName(cursor);
  let flags: number | undefined;
  let type: number | undefined;
  let entrySize = 0;
  let group: string | undefined;
  if (cursor.take(',') && cursor.peek() === '"') {
    const start = cursor.at;
    flags = 0;
    for (const byte of cursor.string()) {
      const flag: number | undefined = FLAGS[String.fromCharCode(byte)];
      if (flag === undefined) cursor.fail(`\`${String.fromCharCode(byte)}\` is not a section flag`, start);
      flags |= flag;
    }
    if (cursor.take(',')) type = sectionType(cursor);
    if (flags & SHF.merge) {
      cursor.expect(',');
      entrySize = Number(assembler.absolute(cursor));
    }
    if (flags & SHF.group) {
      cursor.expect(',');
      group = cursor.name('a group');
      if (cursor.take(',')) cursor.name('`comdat`');
    }
  }
  cursor.end();
  const section = assembler.sections.get(name, group);
  if (flags !== undefined) section.flags |= flags;
  if (type !== undefined) section.type = type;
  if (entrySize) section.entrySize = entrySize;
  assembler.sections.switchTo(section);
}
function sectionName(cursor: Cursor): string {
  const found = /^\s*("[^"]*"|[^\s,]+)/.exec(cursor.text.slice(cursor.at));
  if (!found) return cursor.fail('expected the name of a section');
  cursor.at += found[0].length;
  return found[1]!.replaceAll('"', '');
}
function sectionType(cursor: Cursor): number {
  if (!cursor.take('@') && !cursor.take('%')) {
    if (cursor.peek() !== '"') cursor.fail('expected a section type such as `@progbits`');
  }
  const start = cursor.at;
  const number = cursor.number();
  if (number !== undefined) return Number(number);
  const name = cursor.name('a section type');
  return TYPES[name] ?? cursor.fail(`\`${name}\` is not a section type`, start);
}

function named(name: string): Directive {
  return (assembler, cursor) => {
    const number = cursor.done ? 0 : Number(assembler.absolute(cursor));
    cursor.end();
    assembler.sections.switchTo(assembler.sections.get(name), number);
  };
}

const include: Directive = (assembler, cursor, statement) => {
  const start = cursor.at;
  const path = cursor.quoted();
  cursor.end();
  const found = assembler.options.include?.(path, statement.file);
  if (found === undefined) return cursor.fail(`the file \`${path}\` cannot be read`, start);
  if (typeof found === 'string') assembler.input.push(path, found);
  else assembler.input.push(found.path, found.text);
};

const codeOf =
  (bits: CodeBits): Directive =>
  (assembler, cursor) => {
    cursor.end();
    assembler.bits = bits;
  };

export const sectionDirectives: Readonly<Record<string, Directive>> = {
  text: named('.text'),
  data: named('.data'),
  bss: named('.bss'),
  rodata: named('.rodata'),
  section: chooseSection,
  pushsection: (assembler, cursor) => {
    assembler.sections.push();
    try {
      chooseSection(assembler, cursor);
    } catch (error) {
      assembler.sections.pop();
      throw error;
    }
  },
  popsection: (assembler, cursor) => {
    cursor.end();
    assembler.sections.pop();
  },
  previous: (assembler, cursor) => {
    cursor.end();
    assembler.sections.swap();
  },
  subsection: (assembler, cursor) => {
    const { sections } = assembler;
    sections.switchTo(sections.current.section, Number(assembler.absolute(cursor)));
  },
  include,
  /** A string of .comment; the section begins with an empty one. */
  ident: (assembler, cursor) => {
    const bytes = cursor.string();
    cursor.end();
    const { sections } = assembler;
    sections.push();
    const comment = sections.get('.comment');
    comment.flags = SHF.merge | SHF.strings;
    comment.entrySize = 1;
    sections.switchTo(comment);
    if (sections.data().bytes.length === 0) sections.bytes([0]);
    sections.bytes([...bytes, 0]);
    sections.pop();
  },
  end: (assembler) => assembler.input.stop(),
  code64: codeOf(64),
  code32: codeOf(32),
  code16: codeOf(16),
  code16gcc: () => {
    throw new AssemblyError('16-bit code of a 32-bit compiler is not assembled: only `.code16` is');
  },
  intel_syntax: (assembler, cursor) => {
    cursor.at = cursor.text.length;
    assembler.syntax = 'intel';
  },
  att_syntax: (assembler, cursor) => {
    cursor.at = cursor.text.length;
    assembler.syntax = 'att';
  },
};

/** Call frame information: CIEs and FDEs of .eh_frame and .debug_frame (DWARF 5, 6.4; LSB 5.0, 10.6). */
import type { ElfImage } from '../elf.ts';
import { SymbolError } from '../errors.ts';
import { ByteReader } from './reader.ts';
import { DwarfRegister, I386_RETURN_ADDRESS } from './registers.ts';

export interface CommonInformation {
  readonly codeAlignment: number;
  readonly dataAlignment: number;
  readonly returnRegister: number;
  /** Of 32-bit code: i386's register numbers, words of 4 bytes. `returnRegister` is as x86-64 numbers it all the same. */
  readonly narrow: boolean;
  readonly instructions: Uint8Array;
  readonly addressSize: number;
  /** 'S': a signal frame, whose pc is the interrupted instruction itself. */
  readonly signal: boolean;
  /** 'R': encoding of the FDEs' addresses. */
  readonly encoding: number;
  readonly hasAugmentationData: boolean;
}

export interface FrameDescription {
  readonly cie: CommonInformation;
  /** Link-time addresses [low, high). */
  readonly low: number;
  readonly high: number;
  readonly instructions: Uint8Array;
}

const DW_EH_PE_omit = 0xff;
const DW_EH_PE_absptr = 0;

interface FrameSection {
  readonly bytes: Uint8Array;
  readonly address: number;
  readonly exceptionHandling: boolean;
  readonly name: string;
}

/** All frame descriptions of an image, read the first time one is looked up. */
export class FrameTable {
  #descriptions: FrameDescription[] | undefined;

  constructor(readonly elf: ElfImage) {}

  get descriptions(): readonly FrameDescription[] {
    return (this.#descriptions ??= this.#read());
  }

  at(address: number): FrameDescription | undefined {
    const all = this.descriptions;
    let low = 0;
    let high = all.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (all[middle]!.low <= address) low = middle + 1;
      else high = middle;
    }
    const found = all[low - 1];
    return found && address < found.high ? found : undefined;
  }

  #read(): FrameDescription[] {
    const found: FrameDescription[] = [];
    for (const name of ['.debug_frame', '.eh_frame']) {
      const section = this.elf.section(name);
      if (!section) continue;
      const exceptionHandling = name === '.eh_frame';
      readSection({ bytes: this.elf.contents(name), address: section.address, exceptionHandling, name }, found);
    }
    return found.sort((a, b) => a.low - b.low || a.high - b.high);
  }
}

function readSection(section: FrameSection, into: FrameDescription[]): void {
  const cies = new Map<number, CommonInformation>();
  const reader = new ByteReader(section.bytes, `The section ${section.name}`);
  while (!reader.atEnd) {
    const start = reader.offset;
    const { end, offsetSize } = reader.unitLength();
    if (end === reader.offset) {
      // A zero length ends .eh_frame as one object wrote it; a static link may leave more behind it.
      continue;
    }
    const idAt = reader.offset;
    const id = reader.unsigned(offsetSize);
    const isCie = section.exceptionHandling ? id === 0 : id >= (offsetSize === 4 ? 0xffffffff : 2 ** 64);
    if (isCie) {
      cies.set(start, readCie(section, idAt + offsetSize, end));
    } else {
      const cieOffset = section.exceptionHandling ? idAt - id : id;
      const cie = cies.get(cieOffset) ?? cieAt(section, cieOffset, cies);
      const description = readFde(section, cie, idAt + offsetSize, end);
      if (description.high > description.low && description.low > 0) into.push(description);
    }
    reader.offset = end;
  }
}

function cieAt(section: FrameSection, offset: number, cies: Map<number, CommonInformation>): CommonInformation {
  const reader = new ByteReader(section.bytes, `The section ${section.name}`, Math.max(0, offset));
  const { end, offsetSize } = reader.unitLength();
  const cie = readCie(section, reader.offset + offsetSize, end);
  cies.set(offset, cie);
  return cie;
}

function readCie(section: FrameSection, offset: number, end: number): CommonInformation {
  const reader = new ByteReader(section.bytes, `The section ${section.name}`, offset, end);
  const version = reader.u8();
  if (version !== 1 && version !== 3 && version !== 4)
    throw new SymbolError(
      `${section.name} has call frame information of version ${version}; 1, 3 and 4 are supported.`,
    );
  const augmentation = reader.cstring();
  let addressSize = 8;
  if (version === 4) {
    addressSize = reader.u8();
    reader.u8();
  }
  const codeAlignment = reader.uleb();
  const dataAlignment = reader.sleb();
  const returnRegister = version === 1 ? reader.u8() : reader.uleb();
  const narrow = returnRegister === I386_RETURN_ADDRESS;
  if (narrow) addressSize = 4;
  let encoding = DW_EH_PE_absptr;
  let signal = false;
  const hasAugmentationData = augmentation.startsWith('z');
  if (hasAugmentationData) {
    const dataEnd = reader.uleb() + reader.offset;
    for (const letter of augmentation.slice(1)) {
      if (letter === 'R') encoding = reader.u8();
      else if (letter === 'S') signal = true;
      else if (letter === 'L') reader.u8();
      else if (letter === 'P') encodedPointer(reader, reader.u8(), section.address, addressSize);
      else break;
    }
    reader.offset = Math.min(dataEnd, end);
  }
  const instructions = section.bytes.subarray(reader.offset, end);
  return {
    codeAlignment,
    dataAlignment,
    returnRegister: narrow ? DwarfRegister.ReturnAddress : returnRegister,
    narrow,
    instructions,
    addressSize,
    signal,
    encoding,
    hasAugmentationData,
  };
}

function readFde(section: FrameSection, cie: CommonInformation, offset: number, end: number): FrameDescription {
  const reader = new ByteReader(section.bytes, `The section ${section.name}`, offset, end);
  const encoding = section.exceptionHandling ? cie.encoding : DW_EH_PE_absptr;
  const low = encodedPointer(reader, encoding, section.address, cie.addressSize);
  const length = encodedPointer(reader, encoding & 0x0f, section.address, cie.addressSize);
  if (cie.hasAugmentationData) reader.take(reader.uleb());
  return { cie, low, high: low + length, instructions: section.bytes.subarray(reader.offset, end) };
}

/** A pointer in a DW_EH_PE encoding: format in the low nibble, base above (LSB 5.0, 10.5). */
export function encodedPointer(
  reader: ByteReader,
  encoding: number,
  sectionAddress: number,
  addressSize: number,
): number {
  if (encoding === DW_EH_PE_omit) return 0;
  const at = sectionAddress + reader.offset;
  const value = encodedValue(reader, encoding & 0x0f, addressSize);
  const base = (encoding & 0x70) === 0x10 ? at : 0;
  return value + base;
}

function encodedValue(reader: ByteReader, format: number, addressSize: number): number {
  switch (format) {
    case 0x00:
      return reader.unsigned(addressSize);
    case 0x01:
      return reader.uleb();
    case 0x02:
      return reader.u16();
    case 0x03:
      return reader.u32();
    case 0x04:
      return reader.u64AsNumber();
    case 0x09:
      return reader.sleb();
    case 0x0a:
      return reader.i16();
    case 0x0b:
      return reader.i32();
    case 0x0c:
      return Number(reader.i64());
    default:
      throw new SymbolError(`${reader.what} uses the unknown pointer format ${format}.`);
  }
}

/**
 * `npm run dump-region -- [--top N] [--at ADDRESS|SYMBOL] [--max-instructions N] PROGRAM [ARGS]`: runs a program and shows what was translated: statistics, then
 * for the N regions that executed most (default 1; or those that begin at an address) the blocks in their structure, and guest code beside
 * the WebAssembly that stands for it. Exits are counted by a call from each region, so times mean nothing here.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { loadAssets } from '../debug-adapter/hosting/node/assets.ts';
import { nodeHostFiles } from '../debug-adapter/hosting/node/host-files.ts';
import { ElfImage } from '../debug-adapter/symbols/elf.ts';
import * as codes from '../emulator/cpu/codes.ts';
import { disassemble } from '../emulator/cpu/disassemble.ts';
import type { RegionNode } from '../emulator/cpu/region/graph.ts';
import type { RegionObserver, TranslatedRegion } from '../emulator/cpu/region/observer.ts';
import { printBody } from '../emulator/cpu/wasm/printer.ts';
import { createMachine } from '../emulator/machine/machine.ts';

const SLICE = 1e7;
const LEFT_COLUMN = 52;

/** What became of a region. */
class Record {
  entries = 0;
  instructions = 0;
  readonly exits = new Map<string, number>();
  constructor(readonly region: TranslatedRegion) {}
}

const EXIT_NAMES = new Map(
  Object.entries(codes)
    .filter(([name]) => name.startsWith('EXIT_'))
    .map(([name, code]) => [code, name.slice('EXIT_'.length).toLowerCase().replace('_', ' ')]),
);

class Recorder implements RegionObserver {
  readonly records = new Map<number, Record>();
  made(region: TranslatedRegion): void {
    this.records.set(region.id, new Record(region));
  }
  left(id: number, outcome: number, instructions: number): void {
    const record = this.records.get(id)!;
    record.entries++;
    record.instructions += instructions;
    const kind = EXIT_NAMES.get(outcome) ?? this.#place(record.region, outcome >>> 0);
    record.exits.set(kind, (record.exits.get(kind) ?? 0) + 1);
  }
  /** An exit to a record: of a block of the region (its budget, or a slow access in its middle), or beyond. */
  #place({ graph }: TranslatedRegion, record: number): string {
    for (const { code } of graph.nodes) {
      const index = code.records.indexOf(record);
      if (index > 0) return 'inside a block';
      if (index === 0) return 'to a block of its own';
    }
    return 'to another block';
  }
}

const hex = (gva: bigint | number): string => `0x${BigInt.asUintN(64, BigInt(gva)).toString(16)}`;

function symbols(image: Uint8Array): { nameOf: (gva: bigint) => string; addressOf: (name: string) => bigint } {
  const { symbols: table } = ElfImage.parse(image);
  return {
    nameOf: (gva) => {
      const found = table.at(Number(gva));
      if (!found) return hex(gva);
      return found.offset === 0 ? found.symbol.name : `${found.symbol.name}+${hex(found.offset)}`;
    },
    addressOf: (name) => {
      if (/^0x[0-9a-f]+$/i.test(name)) return BigInt(name);
      const [found] = table.byName(name);
      if (!found) throw new Error(`the program has no symbol ${name}`);
      return BigInt(found.address);
    },
  };
}

/** Blocks in the order of their code, nested as they are: loops, and what each dominates. */
function structure(region: TranslatedRegion, nameOf: (gva: bigint) => string): string[] {
  const { structure: found } = region;
  const number = (node: RegionNode | undefined): string =>
    node ? `b${found.shapes.get(node)!.order}` : 'leaves the region';
  const lines: string[] = [];
  const show = (node: RegionNode, depth: number): void => {
    const shape = found.shapes.get(node)!;
    const marks = [shape.loop ? 'loop' : '', shape.entries > 1 ? `${shape.entries} ways in` : ''].filter(Boolean);
    const edges = node.edges.map(
      ({ node: target, guard, dispatched }) =>
        number(target) +
        (guard === undefined || !target ? '' : ' if the jump cache agrees') +
        (dispatched === undefined ? '' : ' through the dispatcher'),
    );
    if (node === found.dispatcher) {
      lines.push(`${number(node)} dispatcher -> ${edges.join(', ')}`);
      for (const child of shape.dominated) show(child, depth + 1);
      return;
    }
    const { insns } = node.code;
    lines.push(
      `${'  '.repeat(depth)}${number(node)} ${nameOf(insns[0]!.gva)}: ${insns.length} instructions${marks.length ? ` (${marks.join(', ')})` : ''}` +
        ` -> ${edges.length ? edges.join(', ') : 'leaves the region'}`,
    );
    for (const child of shape.dominated) show(child, depth + 1);
  };
  show(found.root, 0);
  return lines;
}

function sideBySide(region: TranslatedRegion): string[] {
  const marks = [...region.marks];
  return printBody(region.body, region.functionName).map(({ offset, depth, text: wasm }) => {
    let left = '';
    while (marks[0] && marks[0].offset <= offset) {
      const { gva } = marks.shift()!;
      left = `${hex(gva)}  ${disassemble(region.bytes.get(gva)!, gva, { count: 1 })[0]?.text}`;
    }
    return `${left.padEnd(LEFT_COLUMN)} ${'  '.repeat(depth)}${wasm}`;
  });
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    top: { type: 'string', default: '1' },
    at: { type: 'string' },
    'max-instructions': { type: 'string', default: 'Infinity' },
  },
});
const [program, ...args] = positionals;
if (!program) throw new Error('Which program? Use: npm run dump-region -- [--top N] [--at SYMBOL] PROGRAM [ARGS]');
const path = resolve(program);
const image = new Uint8Array(readFileSync(path));
const recorder = new Recorder();
const machine = createMachine(loadAssets(), {
  program: { path, image },
  args,
  env: [],
  cwd: process.cwd(),
  grants: [],
  files: nodeHostFiles,
  syscalls: 'modern',
  physBits: 46,
  cpus: 1,
  memory: 1024 * 1024 * 1024,
  seed: 1,
  aslr: false,
  translate: { observer: recorder },
  output: (_fd, data) => void process.stderr.write(data),
});
const most = Number(values['max-instructions']);
while (machine.stats().instructions < most && machine.run(SLICE).kind === 'budget');

const { nameOf, addressOf } = symbols(image);
const records = [...recorder.records.values()].sort((a, b) => b.instructions - a.instructions);
const total = machine.stats().instructions;
const inside = records.reduce((sum, { instructions }) => sum + instructions, 0);
const entries = records.reduce((sum, record) => sum + record.entries, 0);
console.log(
  `${total} instructions, ${((100 * inside) / total).toFixed(1)} % of them in ${records.length} regions; ` +
    `${((1e6 * entries) / total).toFixed(0)} entries per million`,
);
const at = values.at === undefined ? undefined : addressOf(values.at);
const chosen =
  at === undefined
    ? records.slice(0, Number(values.top))
    : records.filter(({ region }) => region.graph.entry.code.insns[0]!.gva === at);
for (const { region, entries: entered, instructions, exits } of records.slice(0, 20)) {
  const kinds = [...exits].sort((a, b) => b[1] - a[1]).map(([kind, count]) => `${kind} ${count}`);
  console.log(
    `#${region.id} ${nameOf(region.graph.entry.code.insns[0]!.gva)}: ${region.graph.nodes.length} blocks, ${region.graph.instructions} instructions, ` +
      `${region.body.length} bytes; entered ${entered}, ${((100 * instructions) / total).toFixed(1)} % of all instructions; exits: ${kinds.join(', ')}`,
  );
}
for (const { region } of chosen) {
  console.log(`\n#${region.id}: structure`);
  for (const line of structure(region, nameOf)) console.log(line);
  console.log(`\n#${region.id}: guest code and WebAssembly`);
  for (const line of sideBySide(region)) console.log(line);
}

/** What a run of the benchmarks found, and how it is said. */
import bochs from '../bochs.json' with { type: 'json' };
import { KERNEL_PROGRAMS } from './programs.ts';

export const ENGINE = 'dune-debug';
export const USER = 'qemu-x86_64';
export const SYSTEM = 'qemu-system-x86_64';
export const NATIVE = 'native';

export interface ProgramResult {
  readonly name: string;
  /** Of the timed region. */
  readonly instructions: number;
  /** Median processor seconds of the timed region, by peer. */
  readonly cpu: Readonly<Record<string, number>>;
  /** Median wall seconds. */
  readonly wall: Readonly<Record<string, number>>;
  readonly checksum: string;
}

export interface StartResult {
  readonly what: string;
  readonly cpu: number;
  readonly wall: number;
}

export interface Results {
  readonly date: string;
  readonly host: string;
  readonly rounds: number;
  readonly programs: readonly ProgramResult[];
  readonly start: readonly StartResult[];
}

export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

const isKernel = ({ name }: ProgramResult): boolean => name in KERNEL_PROGRAMS;
const slowdown = ({ cpu }: ProgramResult, peer: string): number | undefined =>
  cpu[peer] === undefined || cpu[NATIVE] === undefined ? undefined : cpu[peer] / cpu[NATIVE];
const ahead = ({ cpu }: ProgramResult, peer: string): number | undefined =>
  cpu[peer] === undefined ? undefined : cpu[peer] / cpu[ENGINE]!;
/** How many times the published slowdown of Bochs is that of this engine. */
function aheadOfBochs(result: ProgramResult): number | undefined {
  const name = result.name as keyof typeof bochs.native;
  const own = slowdown(result, ENGINE);
  return own === undefined || bochs.bochs[name] === undefined
    ? undefined
    : bochs.native[name] / bochs.bochs[name] / own;
}

const cell = (value: number | undefined, digits: number): string => (value === undefined ? '' : value.toFixed(digits));

type Row = readonly string[];

/** A table in Markdown, aligned for the terminal too. */
function table(rows: readonly Row[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)));
  const line = (row: Row): string =>
    `| ${row.map((text, at) => (at === 0 ? text.padEnd(widths[at]!) : text.padStart(widths[at]!))).join(' | ')} |`;
  const rule = `| ${widths.map((width, at) => (at === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(rows[0]!), rule, ...rows.slice(1).map(line)].join('\n');
}

const peersOf = (programs: readonly ProgramResult[]): string[] =>
  [ENGINE, SYSTEM, USER, NATIVE].filter((peer) => programs.some(({ cpu }) => cpu[peer] !== undefined));

function computeTable(programs: readonly ProgramResult[]): string {
  const peers = peersOf(programs);
  const rows = programs.map((result) => [
    result.name,
    result.instructions.toLocaleString('en'),
    ...peers.map((peer) => cell(result.instructions / result.cpu[peer]! / 1e6, 0)),
    cell(ahead(result, SYSTEM), 2),
    cell(ahead(result, USER), 2),
    cell(slowdown(result, ENGINE), 1),
    cell(aheadOfBochs(result), 1),
  ]);
  const mean = (of: (result: ProgramResult) => number | undefined, digits: number): string => {
    const values = programs.map(of).filter((value) => value !== undefined);
    return values.length > 0 ? geometricMean(values).toFixed(digits) : '';
  };
  const means = [
    'geometric mean',
    '',
    ...peers.map((peer) => mean(({ instructions, cpu }) => instructions / cpu[peer]! / 1e6, 0)),
    mean((result) => ahead(result, SYSTEM), 2),
    mean((result) => ahead(result, USER), 2),
    mean((result) => slowdown(result, ENGINE), 1),
    mean(aheadOfBochs, 1),
  ];
  const heads = peers.map((peer) => `${peer} MIPS`);
  return table([
    ['program', 'instructions', ...heads, '× softmmu', '× user', 'slower than native', '× Bochs'],
    ...rows,
    means,
  ]);
}

function kernelTable(programs: readonly ProgramResult[], works: Readonly<Record<string, number>>): string {
  const peers = peersOf(programs);
  const rows = programs.map((result) => [
    `${result.name} (${KERNEL_PROGRAMS[result.name]})`,
    ...peers.map((peer) => cell((result.cpu[peer]! / works[result.name]!) * 1e9, 0)),
    cell(ahead(result, SYSTEM), 2),
    cell(ahead(result, USER), 2),
  ]);
  return table([['operation', ...peers.map((peer) => `${peer} ns`), '× softmmu', '× user'], ...rows]);
}

/** The whole report in Markdown. */
export function report(results: Results, works: Readonly<Record<string, number>>): string {
  const compute = results.programs.filter((result) => !isKernel(result));
  const kernel = results.programs.filter(isKernel);
  const parts: string[] = [];
  if (compute.length > 0) parts.push(computeTable(compute));
  if (kernel.length > 0) parts.push(kernelTable(kernel, works));
  if (results.start.length > 0)
    parts.push(
      table([
        ['start to end', 'CPU ms', 'wall ms'],
        ...results.start.map(({ what, cpu, wall }) => [what, cell(cpu * 1000, 0), cell(wall * 1000, 0)]),
      ]),
    );
  return parts.join('\n\n');
}

/** What the picture shows: for each compute program, MIPS by peer. */
export function series(results: Results): { peers: string[]; groups: { name: string; values: number[] }[] } {
  const programs = results.programs.filter((result) => !isKernel(result));
  const peers = peersOf(programs);
  const groups = programs.map(({ name, instructions, cpu }) => ({
    name,
    values: peers.map((peer) => instructions / cpu[peer]! / 1e6),
  }));
  return { peers, groups };
}

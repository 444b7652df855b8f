/** The harness, with work so small that only its own working is tested. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { newcArchive } from './harness/initramfs.ts';
import { programNames } from './harness/programs.ts';
import type { Results } from './harness/report.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

describe('npm run bench', () => {
  let out: string;
  before(() => (out = mkdtempSync(join(tmpdir(), 'bench-'))));
  after(() => rmSync(out, { recursive: true }));

  it('runs programs beside native, checks their results, reports', () => {
    const args = ['--rounds', '1', '--work', '2', '--peers', 'native', '--out', out, 'alu', 'sysc'];
    const run = spawnSync('npx', ['tsx', 'bench/bench.ts', ...args], { cwd: root, encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, /^\| alu +\| +\d+ \|/m);
    assert.match(run.stdout, /^\| sysc \(system call\) +\|/m);
    assert.match(run.stdout, /^\| dune-debug, hello +\|/m);
    const results = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')) as Results;
    const [alu] = results.programs;
    assert.equal(alu!.name, 'alu');
    assert(alu!.instructions > 50 && alu!.instructions < 5000, String(alu!.instructions));
    assert(alu!.cpu['dune-debug']! > 0 && alu!.cpu.native! > 0);
    assert.match(readFileSync(join(out, 'mips.svg'), 'utf8'), /<svg .*alu, native: /);
  });

  it('every program, long enough to be translated, comes to the result it has natively', function () {
    this.timeout(300_000);
    const args = ['--rounds', '1', '--scale', '0.2', '--peers', 'native', '--out', out];
    const run = spawnSync('npx', ['tsx', 'bench/bench.ts', ...args], { cwd: root, encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    const { programs } = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')) as Results;
    assert.equal(programs.length, programNames().length);
  });

  it('packs an archive as the format says: 13 fields of 8 hexadecimal digits, name and data padded to 4', () => {
    const text = newcArchive([{ path: 'file', mode: 0o100644, data: Buffer.from('12345') }]).toString('latin1');
    const zero = '00000000';
    const file = ['00000001', '000081a4', zero, zero, '00000001', zero, '00000005', zero, zero, zero, zero, '00000005'];
    const expected = `070701${file.join('')}${zero}file\0\0${'12345\0\0\0'}`;
    assert.equal(text.slice(0, expected.length), expected);
    const trailer = text.slice(expected.length);
    assert.match(trailer, /^070701[0-9a-f]{104}TRAILER!!!\0+$/);
    assert.equal(text.length % 4, 0);
  });
});

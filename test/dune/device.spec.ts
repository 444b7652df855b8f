/** /dev/dune spoken by hand, as binaries do that were built against the public library. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { MachineEvent } from '../../emulator/machine/events.ts';
import { has, runEmulated, start } from '../linux/support.ts';
import { buildExamples, compareWithGolden, compile, here, transcript } from './support.ts';

describe('Dune device', function () {
  before(function () {
    if (!has('gcc')) this.skip();
    else buildExamples();
  });

  it('numbers, return codes, write-back, handles, first state, fork, signals', () => {
    compareWithGolden(join(here, 'raw.expected.txt'), transcript(runEmulated(compile('raw'))));
  });

  it('answers EINVAL above 312 in strict mode', () => {
    const { out } = runEmulated(compile('raw'), [], '', { syscalls: 'strict' });
    assert.match(out, /^435: -22$/m);
    assert.match(out, /^9999: -22$/m);
  });

  it('names the libdune generation of an old ENTER number, and refuses handles that are not the process’s own', () => {
    const collect = { out: '', err: '' };
    const machine = start(compile('raw'), [], {}, collect);
    const told: string[] = [];
    machine.events.subscribe(['diagnostic'], (event: MachineEvent) => {
      told.push(event.summary);
    });
    machine.run(50_000_000);
    assert.ok(told.some((text) => /0x80a8e901 is refused \(ENOTTY\): .*libdune of late 2015/.test(text)));
    assert.ok(told.some((text) => /handle 0xffff880012345000 is refused/.test(text)));
  });

  it('carries a full mapping by 4 KB entries, with the trap and red-zone quirks of the public library', () => {
    compareWithGolden(
      join(here, 'fullmap.expected.txt'),
      transcript(runEmulated(compile('fullmap'), [], '', { memory: 512 << 20 })),
    );
  });

  it('carries interrupts between CPUs: posted to a guest that halts, held back by one in service, dropped for nobody', () => {
    const run = runEmulated(compile('ipi', true), [], '', { cpus: 2 });
    compareWithGolden(join(here, 'ipi.expected.txt'), transcript(run));
  });

  it('lets processes leave Dune mode by exec, breakpoints, faults and exit_group', () => {
    // Register dumps hold addresses, which are the compiler's.
    const text = transcript(runEmulated(compile('processes', true))).replace(/^ {2}.*\n/gm, '');
    compareWithGolden(join(here, 'processes.expected.txt'), text);
  });

  it('keeps what libdune promises of its pages: splitting, large pages, clones', () => {
    compareWithGolden(join(here, 'pages.expected.txt'), transcript(runEmulated(compile('pages', true))));
  });
});

/** What of `npm run realprograms` needs no download: the host's own busybox, if it is static. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { readExecutable } from '../../emulator/linux/elf.ts';
import { difference, runEmulated, runOnHost } from './compare.ts';
import { busyboxRun } from './programs.ts';

const BUSYBOX = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));

function whyNot(): string | undefined {
  if (BUSYBOX === undefined) return 'there is no busybox here: apt-get install busybox-static';
  try {
    readExecutable(new Uint8Array(readFileSync(BUSYBOX)), BUSYBOX);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

describe('Real programs', function () {
  this.timeout(300_000);
  for (const options of [['--no-translate'], []])
    it(`busybox runs its applets as on the host, ${options.length > 0 ? 'interpreted' : 'translated'}`, function () {
      const why = whyNot();
      if (why !== undefined) {
        console.log(`    ${why}`);
        return this.skip();
      }
      const run = busyboxRun(BUSYBOX!);
      assert.equal(difference(run, runEmulated(run, options), runOnHost(run)), undefined);
    });
});

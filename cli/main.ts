/** Entry of the `dune-debug` command. */
import { run } from './run.ts';

/** EX_SOFTWARE of sysexits(3). */
const STATUS_INTERNAL = 70;

const [command, ...rest] = process.argv.slice(2);
switch (command) {
  case 'run':
    try {
      process.exitCode = run(rest);
    } catch (error) {
      console.error(`dune-debug: internal error, please report it: ${(error as Error).stack}`);
      process.exitCode = STATUS_INTERNAL;
    }
    break;
  default:
    console.error('Use: dune-debug run [options] PROGRAM [ARGS]   (see "dune-debug run --help")');
    process.exitCode = command === undefined || command === '--help' ? 0 : 2;
}

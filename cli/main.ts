/** Entry of the `dune-debug` command. */
import { run } from './run.ts';

const [command, ...rest] = process.argv.slice(2);
switch (command) {
  case 'run':
    process.exitCode = run(rest);
    break;
  default:
    console.error('Use: dune-debug run [options] PROGRAM [ARGS]   (see "dune-debug run --help")');
    process.exitCode = command === undefined || command === '--help' ? 0 : 2;
}

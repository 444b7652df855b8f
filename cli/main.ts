/** Entry of the `dune-debug` command. */
import { assemble } from './assemble.ts';
import { profileCommand } from './profile.ts';
import { run } from './run.ts';

/** EX_SOFTWARE of sysexits(3). */
const STATUS_INTERNAL = 70;

interface Command {
  /** What follows the name in the help. */
  readonly use: string;
  /** Returns the process's exit status. */
  readonly main: (argv: readonly string[]) => number;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  run: { use: '[options] PROGRAM [ARGS]', main: (argv) => run(argv) },
  profile: { use: '[options] PROGRAM [ARGS]', main: (argv) => run(argv, profileCommand()) },
  as: { use: '[-o OUT] SOURCE.s... [OBJECT.o | ARCHIVE.a]...', main: assemble },
};

const [name, ...rest] = process.argv.slice(2);
const command = Object.hasOwn(COMMANDS, name ?? '') ? COMMANDS[name!] : undefined;
if (command) {
  try {
    process.exitCode = command.main(rest);
  } catch (error) {
    console.error(`dune-debug: internal error, please report it: ${(error as Error).stack}`);
    process.exitCode = STATUS_INTERNAL;
  }
} else {
  const uses = Object.entries(COMMANDS).map(
    ([known, { use }]) => `dune-debug ${known} ${use}   (see "dune-debug ${known} --help")`,
  );
  console.error(`Use: ${uses.join('\n     ')}`);
  process.exitCode = name === undefined || name === '--help' ? 0 : 2;
}

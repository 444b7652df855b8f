/** What the adapter needs of the place it runs in (a Node process, a browser worker, the extension host). It uses nothing else. */
import type { HostFiles, MachineAssets } from '../emulator/machine/api.ts';

export interface Host {
  /** What the build made for the machine. Throws with one sentence if it is missing. */
  assets(): MachineAssets | Promise<MachineAssets>;
  /** The archive that `libdune` means among the `libraries` of a launch: libdune for programs without a C library. Undefined if it was not built. */
  libdune?(): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** Files the debugger itself may read (program, sources), and out of which the program is granted some. */
  readonly files: HostFiles;
  /** Runs a task after messages that have arrived meanwhile have been handled. */
  schedule(task: () => void): void;
  /** Milliseconds, monotonic. */
  now(): number;
  /** Directory that relative paths of a launch are relative to when it gives no `cwd`. */
  readonly directory: string;
}

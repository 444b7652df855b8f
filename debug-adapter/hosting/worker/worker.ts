/** Entry of the debug adapter as a web worker: the machine runs beside the editor, which needs no processes and no file system. */
import { disassemble } from '../../../emulator/cpu/disassemble.ts';
import type { MachineAssets } from '../../../emulator/machine/api.ts';
import type { Host } from '../../host.ts';
import { Session } from '../../session.ts';
import { MemoryFiles } from './memory-files.ts';
import type { FromWorker, ToWorker, WorkerAssets } from './messages.ts';

interface WorkerScope {
  onmessage: ((event: { readonly data: ToWorker }) => void) | null;
  postMessage(message: FromWorker): void;
}

const scope = self as unknown as WorkerScope;
const files = new MemoryFiles();
let given: (assets: WorkerAssets) => void;
const assets = new Promise<WorkerAssets>((resolve) => (given = resolve)).then(compile);

async function compile({ core, interpreter, forms }: WorkerAssets): Promise<MachineAssets> {
  const [compiledCore, compiledInterpreter] = await Promise.all([
    WebAssembly.compile(core as BufferSource),
    WebAssembly.compile(interpreter as BufferSource),
  ]);
  return {
    core: compiledCore,
    interpreter: compiledInterpreter,
    forms: JSON.parse(forms),
    disassembler: () => disassemble,
  };
}

/** Tasks in turn with messages of the client: both are tasks of the event loop. */
const channel = new MessageChannel();
const tasks: (() => void)[] = [];
channel.port1.onmessage = () => tasks.shift()?.();

const host: Host = {
  assets: () => assets,
  files,
  schedule(task) {
    tasks.push(task);
    channel.port2.postMessage(undefined);
  },
  now: () => performance.now(),
  directory: '/',
};

const session = new Session(host, (message) => scope.postMessage(message));
scope.onmessage = ({ data }) => {
  switch (data.kind) {
    case 'assets':
      return given(data.assets);
    case 'files':
      return data.files.forEach((file) => files.hand(file));
    case 'dap':
      return session.receive(data.message);
  }
};

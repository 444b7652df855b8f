/** Puts the parts of a machine together: processor, memory, VT-x, Linux personality, Dune module. */
import { Board } from '../board/board.ts';
import type { CpuContext } from '../cpu/context.ts';
import { createProcessor } from '../cpu/processor.ts';
import { CpuModelError, cpuModelOf, DEFAULT_MODEL } from '../cpu/system/models.ts';
import type { CpuModel } from '../cpu/system/models.ts';
import { createDuneDevice } from '../dune/device.ts';
import { LaunchError } from '../linux/api.ts';
import { createKernel } from '../linux/kernel.ts';
import { createVmx } from '../vmx/vmx.ts';
import type { MachineAssets, MachineOptions } from './api.ts';
import { EventBus } from './events.ts';
import type { Personality } from './personality.ts';

export interface MachineParts {
  readonly context: CpuContext;
  readonly kernel: Personality;
}

const MEGABYTE = 1024 * 1024;
const LEAST_MEMORY = 64 * MEGABYTE;
const LEAST_BARE_MEMORY = 16 * MEGABYTE;
/** Decoded code and guest memory share one 4 GB wasm memory. */
const MOST_MEMORY = 3072 * MEGABYTE;

/** Throws LaunchError with one sentence for an option that cannot be. */
function check({ physBits, cpus, memory, machine }: MachineOptions): void {
  const least = machine === 'bare' ? LEAST_BARE_MEMORY : LEAST_MEMORY;
  const most = machine === 'bare' ? 52 : 48;
  if (!Number.isInteger(physBits) || physBits < 37 || physBits > most)
    throw new LaunchError(
      machine === 'bare'
        ? `physBits is ${physBits}: a board's processor has 37 to 52 physical-address bits.`
        : `physBits is ${physBits}: Dune's three windows need at least 37 physical-address bits, and its 4-level EPT reaches 48.`,
    );
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > 64) throw new LaunchError(`cpus is ${cpus}: use 1 to 64.`);
  if (!(memory >= least && memory <= MOST_MEMORY))
    throw new LaunchError(`memory is ${Math.round(memory / MEGABYTE)} MB: use ${least / MEGABYTE} to 3072.`);
}

function modelOf({ cpuModel }: MachineOptions): CpuModel {
  try {
    return cpuModel === undefined ? DEFAULT_MODEL : cpuModelOf(cpuModel);
  } catch (error) {
    throw error instanceof CpuModelError ? new LaunchError(error.message) : error;
  }
}

export function assemble(assets: MachineAssets, options: MachineOptions): MachineParts {
  check(options);
  const { physBits, cpus, syscalls } = options;
  let board: Board | undefined;
  const context = createProcessor(assets, {
    ramBytes: options.memory - (options.memory % 0x10000),
    physBits,
    cpus,
    translate: options.translate ?? true,
    model: modelOf(options),
    events: new EventBus(),
    createVmx,
    pendingInterrupt: (processor) => {
      if (board) return board.pendingInterrupt();
      processor.vmx.deliverVirtualInterrupt();
      return undefined;
    },
  });
  if (options.machine === 'bare') {
    board = new Board(context, options);
    return { context, kernel: board };
  }
  const kernel = createKernel(context, context.physical, options, (services) =>
    createDuneDevice(context, services, { physBits, cpus, syscalls }),
  );
  return { context, kernel };
}

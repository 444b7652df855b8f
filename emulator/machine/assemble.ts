/** Puts the parts of a machine together: processor, memory, VT-x, Linux personality, Dune module. */
import type { CpuContext } from '../cpu/context.ts';
import { createProcessor } from '../cpu/processor.ts';
import { CpuModelError, cpuModelOf, DEFAULT_MODEL } from '../cpu/system/models.ts';
import type { CpuModel } from '../cpu/system/models.ts';
import { createDuneDevice } from '../dune/device.ts';
import { type Kernel, LaunchError } from '../linux/api.ts';
import { createKernel } from '../linux/kernel.ts';
import { createVmx } from '../vmx/vmx.ts';
import type { MachineAssets, MachineOptions } from './api.ts';
import { EventBus } from './events.ts';

export interface MachineParts {
  readonly context: CpuContext;
  readonly kernel: Kernel;
}

const MEGABYTE = 1024 * 1024;
const LEAST_MEMORY = 64 * MEGABYTE;
/** Decoded code and guest memory share one 4 GB wasm memory. */
const MOST_MEMORY = 3072 * MEGABYTE;

/** Throws LaunchError with one sentence for an option that cannot be. */
function check({ physBits, cpus, memory }: MachineOptions): void {
  if (!Number.isInteger(physBits) || physBits < 37 || physBits > 48)
    throw new LaunchError(
      `physBits is ${physBits}: Dune's three windows need at least 37 physical-address bits, and a 4-level EPT reaches 48.`,
    );
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > 64) throw new LaunchError(`cpus is ${cpus}: use 1 to 64.`);
  if (!(memory >= LEAST_MEMORY && memory <= MOST_MEMORY))
    throw new LaunchError(`memory is ${Math.round(memory / MEGABYTE)} MB: use 64 to 3072.`);
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
  const context = createProcessor(assets, {
    ramBytes: options.memory - (options.memory % 0x10000),
    physBits,
    cpus,
    translate: options.translate ?? true,
    model: modelOf(options),
    events: new EventBus(),
    createVmx,
    pendingInterrupt: (processor) => {
      processor.vmx.deliverVirtualInterrupt();
      return undefined;
    },
  });
  const kernel = createKernel(context, context.physical, options, (services) =>
    createDuneDevice(context, services, { physBits, cpus, syscalls }),
  );
  return { context, kernel };
}

/** Which model CPU a thread runs on. */
import * as L from '../cpu/layout.ts';
import type { Linux, Task } from './state.ts';

/** The CPU of the affinity mask with the fewest threads. */
export function chooseCpu(linux: Linux, task: Task): number {
  const load = new Array<number>(linux.options.cpus).fill(0);
  for (const other of linux.state.tasks.values()) if (other !== task) load[other.cpu]!++;
  let best = -1;
  for (let cpu = 0; cpu < load.length; cpu++)
    if ((task.affinity >> BigInt(cpu)) & 1n && (best < 0 || load[cpu]! < load[best]!)) best = cpu;
  return Math.max(0, best);
}

/** The loaded thread goes on, on this logical CPU: its TLB, its number. */
export function moveTo(linux: Linux, cpu: number): void {
  linux.engine.selectCpu(cpu);
  linux.mem.set64(L.MSR_TSC_AUX, BigInt(cpu));
  linux.engine.contextChanged();
}

/** `dune/memoryMap`: the Linux areas of the thread's process, with the Dune window each lies in. */
import { hex } from '../../presentation/tables.ts';
import { windowNames } from '../../presentation/windows.ts';
import type { MemoryMapResponse } from '../../protocol.ts';
import { defineRequest } from '../../request.ts';

export const memoryMap = defineRequest<{ threadId: number }, MemoryMapResponse>({
  command: 'dune/memoryMap',
  run({ debuggee }, { threadId }) {
    const areas = debuggee.machine.memoryMap(threadId);
    const window = windowNames(areas, debuggee.options.physBits);
    return {
      areas: areas.map((area) => ({
        start: hex(area.start),
        end: hex(area.end),
        permissions: area.permissions,
        offset: hex(area.offset),
        name: area.name,
        window: window(area.start),
      })),
    };
  },
});

/** The guest's context for a moment, after its exit: what walks and decoding depend on is loaded from the VMCS, and put back. */
import * as L from '../cpu/layout.ts';
import { Segment } from '../cpu/state.ts';
import { Field } from '../vmx/fields.ts';
import type { Dune } from './state.ts';
import { read, read32 } from './vcpu.ts';

const CODE_64 = 2;

/** `look` must change nothing. */
export function inGuest<T>(dune: Dune, look: () => T): T {
  const { mem, cpu, engine } = dune.context;
  const page = cpu.save();
  const guest = {
    cr0: read(dune, Field.guestCr0),
    cr3: read(dune, Field.guestCr3),
    cr4: read(dune, Field.guestCr4),
    eptp: read(dune, Field.eptPointer),
    vpid: Number(read(dune, Field.vpid)),
    cpl: guestCpl(dune),
    cs: {
      selector: Number(read(dune, Field.guestCsSelector)),
      base: read(dune, Field.guestCsBase),
      limit: Number(read(dune, Field.guestCsLimit)),
      rights: Number(read(dune, Field.guestCsAccessRights)),
    },
  };
  mem.set32(L.NON_ROOT, 1);
  mem.set64(L.CR0, guest.cr0);
  mem.set64(L.CR3, guest.cr3);
  mem.set64(L.CR4, guest.cr4);
  mem.set64(L.EPTP, guest.eptp);
  mem.set32(L.VPID, guest.vpid);
  mem.set32(L.CPL, guest.cpl);
  cpu.setSegment(Segment.CS, guest.cs);
  mem.set32(L.CODE_MODE, CODE_64);
  engine.contextChanged();
  try {
    return look();
  } finally {
    cpu.load(page);
    engine.contextChanged();
  }
}

/** DPL of SS (SDM 3C 25.4.1). */
export function guestCpl(dune: Dune): number {
  return (read32(dune, Field.guestSsAccessRights) >> 5) & 3;
}

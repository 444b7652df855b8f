# Guest-physical addresses beyond 48 bits: a processor with 52 physical-address bits.

  .set PLACE, WINDOW + 0x1000
  .set GUEST_ENTRY, GUEST_TABLES + 0x6000 + 8
  .set WIDE, 1 << 48
  .macro five_levels flags=0
  poke PAGE, "EPT + 7"
  poke "PAGE + 8", "OTHER_EPT + 7"
  poke "PAGE + 15 * 8", "OTHER_EPT + 7"
  put eptPointer, "PAGE + 0x26 + \flags"
  .endm
  # What the guest's entry leads to; another VPID has cached nothing of it.
  .macro leads_to address:req, tag:req
  poke GUEST_ENTRY, "\address + 0x67"
  put vpid, \tag
  .endm

row "4-level EPT: a page beyond 48 bits is an EPT violation"
  .irp high, "1 << 48", "1 << 51", "15 << 48"
  poke GUEST_ENTRY, "(\high) + PLACE + 0x67"
  run "mov [rbx + 8], eax", "mov ebx, PLACE"
  exits X_EptViolation, qualification=0x782
  want guestPhysicalAddress, "(\high) + PLACE + 8"
  want guestLinearAddress, "PLACE + 8"
  .endr
  poke GUEST_ENTRY, "PLACE + 0x67"
  again
  passes
row "4-level EPT: so is a table of the guest"
  poke "GUEST_TABLES + 0x2000 + (WINDOW >> 21) * 8", "(1 << 51) + GUEST_TABLES + 0x6067"
  run "mov eax, [rbx]", "mov ebx, PLACE"
  exits X_EptViolation, qualification=0x81
  want guestPhysicalAddress, "(1 << 51) + GUEST_TABLES + 0x6008"
row "4-level EPT: so is the root of the guest's tables"
  put guestCr3, "(1 << 49) + GUEST_TABLES"
  run "nop"
  exits X_EptViolation, qualification=0x81
  want guestPhysicalAddress, "(1 << 49) + GUEST_TABLES"
row "5-level EPT: bits 51:48 select the PML5 entry"
  five_levels
  poke "OTHER_EPT + 0x6000 + 8", "WINDOW + 0x2037"
  poke "WINDOW + 0x2000", 0x22
  poke PLACE, 0x11
  run "mov eax, [rbx]", "mov ebx, PLACE"
  passes
  register 0, 0x11
  leads_to "WIDE + PLACE", 2
  again
  passes
  register 0, 0x22
  leads_to "(15 << 48) + PLACE", 3
  again
  passes
  register 0, 0x22
  leads_to "(2 << 48) + PLACE", 4
  again
  exits X_EptViolation, qualification=0x781
  want guestPhysicalAddress, "(2 << 48) + PLACE"
  # A large page: 2 MB.
  poke 0xa00018, 0x77
  leads_to "WIDE + 0xa00000", 5
  run "mov eax, [rbx + 0x18]", "mov ebx, PLACE"
  passes
  register 0, 0x77
row "5-level EPT: tables of the guest beyond 48 bits"
  five_levels
  poke PLACE, 0x11
  put guestCr3, "(15 << 48) + GUEST_TABLES"
  run "mov eax, [rbx]", "mov ebx, PLACE"
  passes
  register 0, 0x11
row "5-level EPT: the page-modification log"
  five_levels 0x40
  set secondaryControls, Secondary_PageModificationLog
  put pmlAddress, OTHER_PAGE
  put pmlIndex, 511
  leads_to "WIDE + PLACE", 2
  run "mov [rbx + 8], eax", "mov ebx, PLACE"
  passes
  root "mov eax, pmlIndex; vmread rcx, rax; movsx rcx, cx; mov rax, [OTHER_PAGE + 8 + rcx * 8]; mov [scratch], rax"
  peek scratch, "WIDE + PLACE"

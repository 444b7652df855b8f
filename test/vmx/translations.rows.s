# What is cached, and exactly what drops it. Pages of the window hold their numbers; a stale one shows.

  .set PLACE, WINDOW + 0x1000
  .set GUEST_ENTRY, GUEST_TABLES + 0x6000 + 8
  .set EPT_ENTRY, EPT + 0x6000 + 8
  # The guest has read PLACE, which was page 2; then its entry points to page 3.
  .macro stale_guest_entry flags=0x67
  poke "WINDOW + 0x2000", 0x22
  poke "WINDOW + 0x3000", 0x33
  poke GUEST_ENTRY, "WINDOW + 0x2000 + \flags"
  run "mov eax, [rbx]", "mov ebx, PLACE"
  passes
  register 0, 0x22
  poke GUEST_ENTRY, "WINDOW + 0x3000 + \flags"
  .endm
  .macro invalidate instruction:req, type:req, low:req, high=0
  poke descriptor, "\low"
  poke "descriptor + 8", "\high"
  root "mov eax, \type; \instruction rax, [descriptor]"
  succeeds
  .endm
  .macro reads value:req
  again
  passes
  register 0, \value
  .endm

row "VPID: entries and exits drop nothing"
  stale_guest_entry
  reads 0x22
row "VPID: another one has its own, and the first is kept"
  stale_guest_entry
  put vpid, 2
  reads 0x33
  put vpid, 1
  reads 0x22
row "no VPID: entries and exits drop what VPID 0 has"
  clear secondaryControls, Secondary_Vpid
  stale_guest_entry
  reads 0x33
row "the guest: INVLPG, MOV to CR3"
  stale_guest_entry
  run "mov eax, [rbx]", "mov ebx, PLACE; invlpg [rbx + 0x1000]"
  passes
  register 0, 0x22
  run "mov eax, [rbx]", "mov ebx, PLACE; invlpg [rbx + 0x123]"
  passes
  register 0, 0x33
row "the guest: MOV to CR3"
  stale_guest_entry
  run "mov eax, [rbx]", "mov ebx, PLACE; mov rax, cr3; mov cr3, rax"
  passes
  register 0, 0x33
row "INVVPID 0: the address of the VPID"
  stale_guest_entry
  invalidate invvpid, 0, 1, PLACE + 0x1000
  reads 0x22
  invalidate invvpid, 0, 2, PLACE
  reads 0x22
  invalidate invvpid, 0, 1, PLACE + 0x800
  reads 0x33
row "INVVPID 1: the VPID"
  stale_guest_entry
  invalidate invvpid, 1, 2
  reads 0x22
  invalidate invvpid, 1, 1
  reads 0x33
row "INVVPID 2: all VPIDs"
  stale_guest_entry
  invalidate invvpid, 2, 0
  reads 0x33
row "INVVPID 3: all of the VPID but global ones"
  stale_guest_entry
  invalidate invvpid, 3, 2
  reads 0x22
  invalidate invvpid, 3, 1
  reads 0x33
row "INVVPID 3 leaves global ones, INVVPID 1 does not"
  set guestCr4, CR4_PGE
  stale_guest_entry 0x167
  invalidate invvpid, 3, 1
  reads 0x22
  invalidate invvpid, 1, 1
  reads 0x33
row "INVVPID is not for the hypervisor's own translations"
  poke "WINDOW + 0x2000", 0x22
  poke "WINDOW + 0x3000", 0x33
  poke "HOST_TABLES + 0x6000 + 8", "WINDOW + 0x2067"
  root "mov eax, PLACE; invlpg [rax]; mov eax, [rax]"
  poke "HOST_TABLES + 0x6000 + 8", "WINDOW + 0x3067"
  invalidate invvpid, 1, 1
  root "mov eax, PLACE; mov eax, [rax]; mov [scratch], eax; mov rcx, cr3; mov cr3, rcx; mov eax, PLACE; mov eax, [rax]; mov [scratch + 4], eax"
  peek scratch, 0x3300000022
  poke "HOST_TABLES + 0x6000 + 8", "PLACE + 0x67"
  root "mov rcx, cr3; mov cr3, rcx"
# The same with the EPT: PLACE goes through an entry of the EPT that changes.
  .macro stale_ept_entry
  poke "WINDOW + 0x2000", 0x22
  poke "WINDOW + 0x3000", 0x33
  poke EPT_ENTRY, "WINDOW + 0x2037"
  run "mov eax, [rbx]", "mov ebx, PLACE"
  passes
  register 0, 0x22
  poke EPT_ENTRY, "WINDOW + 0x3037"
  .endm
row "EPT: entries and exits drop nothing"
  stale_ept_entry
  reads 0x22
row "INVEPT 1: what comes from the EPTP"
  stale_ept_entry
  invalidate invept, 1, OTHER_EPT + 0x1e
  reads 0x22
  invalidate invept, 1, EPT + 0x1e
  reads 0x33
row "INVEPT 1: whatever the VPID"
  stale_ept_entry
  put vpid, 2
  invalidate invept, 1, EPT + 0x1e
  put vpid, 1
  reads 0x33
row "INVEPT 2: all EPTPs"
  stale_ept_entry
  invalidate invept, 2, 0
  reads 0x33
row "INVEPT 1: bits of the EPTP below the address do not tell EPTs apart"
  stale_ept_entry
  invalidate invept, 1, EPT + 0x5e
  reads 0x33
row "an EPT violation drops what it met"
  poke EPT_ENTRY, "PLACE + 0x35"
  run "mov [rbx], eax", "mov ebx, PLACE; mov eax, [rbx]"
  exits X_EptViolation, qualification=0x7aa
  poke EPT_ENTRY, "PLACE + 0x37"
  resume
  passes
row "another EPTP has its own translations"
  stale_ept_entry
  put eptPointer, "OTHER_EPT + 0x1e"
  poke "OTHER_EPT + 0x6000 + 8", "WINDOW + 0x3037"
  reads 0x33
  put eptPointer, "EPT + 0x1e"
  reads 0x22

row "accessed and dirty flags of the EPT"
  put eptPointer, "EPT + 0x5e"
  run "mov eax, [rbx]", "mov ebx, PLACE"
  passes
  peek EPT_ENTRY, "PLACE + 0x137"
  run "mov [rbx], eax", "mov ebx, PLACE"
  passes
  peek EPT_ENTRY, "PLACE + 0x337"
  peek "EPT + 0x2000 + (WINDOW >> 21) * 8", "EPT + 0x6107"
  # Tables of the guest count as written to.
  peek "EPT + 0x2000", 0x3b7
row "without the flags enabled nothing is written"
  run "mov [rbx], eax", "mov ebx, PLACE"
  passes
  peek EPT_ENTRY, "PLACE + 0x37"
row "page-modification log"
  set secondaryControls, Secondary_PageModificationLog
  put eptPointer, "EPT + 0x5e"
  put pmlAddress, PAGE
  put pmlIndex, 511
  # The pages of code, stacks and tables first.
  run "mov [rbx], eax", "mov ebx, offset scratch; mov [rbx], eax; mov ebx, PLACE"
  passes
  root "mov eax, pmlIndex; vmread rcx, rax; movsx rcx, cx; mov rax, [PAGE + 8 + rcx * 8]; mov [scratch], rax"
  peek scratch, PLACE
  # Dirty already: no entry.
  root "mov eax, pmlIndex; vmread rcx, rax; mov [scratch + 8], rcx"
  again
  passes
  root "mov eax, pmlIndex; vmread rcx, rax; sub [scratch + 8], rcx"
  peek "scratch + 8", 0
row "62 the log is full"
  set secondaryControls, Secondary_PageModificationLog
  put eptPointer, "EPT + 0x5e"
  put pmlAddress, PAGE
  put pmlIndex, 0xffff
  run "nop"
  exits X_PageModificationLogFull, where=2
  clear secondaryControls, Secondary_PageModificationLog
  again
  passes
row "mode-based execute control"
  set secondaryControls, Secondary_ModeBasedExecute
  # The guest's pages are user pages: bit 10 counts.
  root "mov edi, EPT + 0x2000; mov ecx, 2048; 1: bts qword ptr [rdi], 10; add rdi, 8; loop 1b; bts qword ptr [EPT], 10; bts qword ptr [EPT + 0x1000], 10"
  poke PLACE, 0xc1010f
  run "nop", "mov ebx, PLACE; jmp rbx"
  exits X_EptViolation, qualification=0x7bc, where=2
  poke EPT_ENTRY, "PLACE + 0x433"
  root "mov ecx, 2; invept rcx, [descriptor]"
  again
  exits X_Vmcall, length=3, where=2
  want guestRip, PLACE
row "66 sub-page permissions: granted, refused, missing, misconfigured"
  set secondaryControls, Secondary_SubPageWritePermissions
  .set SPPT, OTHER_EPT
  put sppTablePointer, SPPT
  poke SPPT, "SPPT + 0x1001"
  poke "SPPT + 0x1000", "SPPT + 0x2001"
  poke "SPPT + 0x2000 + (WINDOW >> 21) * 8", "SPPT + 0x3001"
  # The first and the third 128 bytes of PLACE.
  poke "SPPT + 0x3000 + 8", 0x11
  poke EPT_ENTRY, "PLACE + 0x2000000000000035"
  run "mov [rbx], eax", "mov ebx, PLACE + 0x104"
  passes
  run "mov [rbx], eax", "mov ebx, PLACE + 0x80"
  exits X_EptViolation, qualification=0x7aa
  poke "SPPT + 0x3000 + 8", 0x13
  run "mov [rbx], eax", "mov ebx, PLACE"
  exits X_SubPageEvent, qualification=0x180
  want guestPhysicalAddress, PLACE
  want guestLinearAddress, PLACE
  poke "SPPT + 0x1000", 0
  again
  exits X_SubPageEvent, qualification=0x980
  clear secondaryControls, Secondary_SubPageWritePermissions
  again
  exits X_EptViolation, qualification=0x7aa

row "VMFUNC 0: the EPT of the list, its translations, EPTP index"
  set secondaryControls, "Secondary_VmFunctions | Secondary_EptViolationException"
  put vmFunctionControls, 1
  put virtualizationExceptionAddress, DESCRIPTOR
  put eptpListAddress, PAGE
  poke PAGE, "EPT + 0x1e"
  poke "PAGE + 511 * 8", "OTHER_EPT + 0x1e"
  poke "WINDOW + 0x2000", 0x22
  poke PLACE, 0x11
  poke "OTHER_EPT + 0x6000 + 8", "WINDOW + 0x2037"
  run "vmcall", "mov ebx, PLACE; mov edx, [rbx]; xor eax, eax; mov ecx, 511; vmfunc; mov esi, [rbx]; xor eax, eax; xor ecx, ecx; vmfunc; mov edi, [rbx]; mov ecx, 511; vmfunc"
  exits X_Vmcall, length=3
  register 2, 0x11
  register 6, 0x22
  register 7, 0x11
  want eptPointer, "OTHER_EPT + 0x1e"
  want eptpIndex, 511
  run "vmfunc", "xor eax, eax; mov ecx, 512"
  exits X_Vmfunc, length=3
  run "vmfunc", "mov eax, 64"
  guest_gets 6
row "#VE: what it tells, and that it comes once"
  set secondaryControls, Secondary_EptViolationException
  put virtualizationExceptionAddress, DESCRIPTOR
  put eptpIndex, 7
  poke EPT_ENTRY, 0
  run "mov [rbx + 8], eax", "mov ebx, PLACE"
  guest_gets 20
  peek guest_event_rip, LAST_AT
  peek DESCRIPTOR, 0xffffffff00000030
  peek "DESCRIPTOR + 8", 0x782
  peek "DESCRIPTOR + 16", "PLACE + 8"
  peek "DESCRIPTOR + 24", "PLACE + 8"
  peek "DESCRIPTOR + 32", 7, 0xffff
  # Busy.
  again
  exits X_EptViolation, qualification=0x782
  poke DESCRIPTOR, 0
  # Suppressed by bit 63.
  poke EPT_ENTRY, "1 << 63"
  root "mov ecx, 2; invept rcx, [descriptor]"
  again
  exits X_EptViolation, qualification=0x782
  # It is an exception as others are.
  poke EPT_ENTRY, 0
  put exceptionBitmap, "1 << 20"
  again
  exits X_ExceptionOrNmi, interruption=0x80000314
  # Never while an event is delivered.
  poke DESCRIPTOR, 0
  put exceptionBitmap, 0
  run "ud2", "mov esp, PLACE + 0x100"
  exits X_EptViolation, qualification=0x782, vectoring=0x80000306
  clear secondaryControls, Secondary_EptViolationException
  poke DESCRIPTOR, 0
  run "mov [rbx + 8], eax", "mov ebx, PLACE"
  exits X_EptViolation, qualification=0x782
row "VMCS shadowing"
  set secondaryControls, Secondary_VmcsShadowing
  put vmreadBitmap, PAGE
  put vmwriteBitmap, OTHER_PAGE
  put vmcsLinkPointer, SHADOW_VMCS
  root "mov eax, [revision]; bts eax, 31; mov [SHADOW_VMCS], eax"
  run "vmread rdx, rax", "mov eax, guestRip; mov ecx, 0x1234; vmwrite rax, rcx; jbe 1f; vmread rsi, rax; 1: mov eax, guestRsp"
  passes
  register 6, 0x1234
  # Fields that the bitmaps name, and encodings beyond them.
  poke "PAGE + guestRsp / 8", "1 << (guestRsp % 8)"
  again
  exits X_Vmread, length=3, information=0x00000410
  run "vmwrite rax, rcx", "mov eax, guestRsp"
  passes
  run "vmwrite rax, rcx", "mov eax, 0x8000"
  exits X_Vmwrite, length=3, information=0x00000408
  # No field: the error is told in the current VMCS.
  run "nop", "mov eax, 0x6c1e; vmread rdx, rax"
  passes
  want instructionError, E_UnsupportedField
  clear secondaryControls, Secondary_VmcsShadowing
  put vmcsLinkPointer, -1
  run "vmread rdx, rax"
  exits X_Vmread, length=3, information=0x00000410
row "XSAVES and XRSTORS need their control"
  set secondaryControls, Secondary_Xsaves
  run "xsaves [rbx]", "mov eax, 3; xor edx, edx; mov ebx, PLACE"
  passes
  run "xrstors [rbx]", "mov eax, 3; xor edx, edx; mov ebx, PLACE"
  passes
  clear secondaryControls, Secondary_Xsaves
  again
  guest_gets 6

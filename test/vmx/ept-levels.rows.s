# EPTs of 5 levels (SDM 3C 29.3.2), and which EPT pointers there are. PAGE holds the EPT PML5 table; its first entry leads to what is the PML4 table of 4 levels.

  .macro five_levels flags=0
  poke PAGE, "EPT + 7"
  put eptPointer, "PAGE + 0x26 + \flags"
  .endm

row "IA32_VMX_EPT_VPID_CAP: page-walk lengths 4 and 5"
  root "mov ecx, 0x48c; rdmsr; and eax, 0xc0; mov [scratch], eax"
  peek scratch, 0xc0
row "EPT pointers: those that VM entry, INVEPT and VMFUNC refuse"
  set secondaryControls, Secondary_VmFunctions
  put vmFunctionControls, 1
  put eptpListAddress, PAGE
  # Memory types; page-walk lengths; bits 11:7; beyond the width.
  .irp low, 0x21, 0x22, 0x23, 0x24, 0x25, 0x27, 0x06, 0x0e, 0x16, 0x2e, 0x36, 0x3e, 0xa6, 0x126, 0x226, 0x426, 0x826, 0x8000000026
  poke descriptor, "OTHER_EPT + \low"
  root "mov eax, 1; invept rax, [descriptor]"
  fails E_InvalidInvalidation
  poke PAGE, "OTHER_EPT + \low"
  run "vmfunc", "xor eax, eax; xor ecx, ecx"
  exits X_Vmfunc, length=3
  put eptPointer, "OTHER_EPT + \low"
  resume
  refused E_EntryControls
  put eptPointer, "EPT + 0x1e"
  .endr
row "EPT pointers: those of 5 levels that are taken"
  .irp low, 0x20, 0x26, 0x60, 0x66
  poke PAGE, "EPT + 7"
  put eptPointer, "PAGE + \low"
  poke PLACE, 0x11
  run "mov eax, [rbx]", "mov ebx, PLACE"
  passes
  register 0, 0x11
  invalidate invept, 1, PAGE + \low
  .endr
row "5-level EPT: rights of the PML5 entry"
  five_levels
  poke PAGE, "EPT + 5"
  run "mov [rbx], eax", "mov ebx, PLACE; mov eax, [rbx]"
  exits X_EptViolation, qualification=0x7aa
  want guestPhysicalAddress, PLACE
  want guestLinearAddress, PLACE
  poke PAGE, "EPT + 7"
  resume
  passes
row "5-level EPT: no PML5 entry"
  five_levels
  poke PAGE, 0
  run "nop"
  exits X_EptViolation, qualification=0x81
  want guestPhysicalAddress, GUEST_TABLES
  want guestLinearAddress, LAST_AT
  poke PAGE, "EPT + 7"
  again
  passes
row "49 EPT misconfiguration: a PML5 entry"
  five_levels
  # Bits 7:3; writes without reads; beyond the width.
  .irp entry, 0x0f, 0x17, 0x27, 0x47, 0x87, 0x02, 0x06, 0x200000000007
  poke PAGE, "EPT + \entry"
  run "nop"
  op OP_EXIT, X_EptMisconfiguration, 0
  want guestPhysicalAddress, GUEST_TABLES
  .endr
  # Bits 11:8 and 62:52 are software's, or the accessed flag.
  poke PAGE, "EPT + 0x7ff0000000000f07"
  again
  passes
row "5-level EPT: the accessed flag"
  five_levels
  run "nop"
  passes
  peek PAGE, "EPT + 7"
  five_levels 0x40
  run "mov [rbx], eax", "mov ebx, PLACE"
  passes
  peek PAGE, "EPT + 0x107"
  peek EPT_ENTRY, "PLACE + 0x337"
row "5-level EPT: mode-based execute control"
  five_levels
  set secondaryControls, Secondary_ModeBasedExecute
  root "mov edi, EPT + 0x2000; mov ecx, 2048; 1: bts qword ptr [rdi], 10; add rdi, 8; loop 1b; bts qword ptr [EPT], 10; bts qword ptr [EPT + 0x1000], 10; mov edi, EPT + 0x6000; mov ecx, 512; 1: bts qword ptr [rdi], 10; add rdi, 8; loop 1b"
  run "nop"
  exits X_EptViolation, qualification=0x7bc
  poke PAGE, "EPT + 0x407"
  again
  passes
row "5-level EPT: INVEPT 1"
  five_levels
  stale_ept_entry
  reads 0x22
  invalidate invept, 1, EPT + 0x1e
  reads 0x22
  invalidate invept, 1, PAGE + 0x26
  reads 0x33
row "5-level EPT: #VE, unless the PML5 entry suppresses it"
  five_levels
  set secondaryControls, Secondary_EptViolationException
  put virtualizationExceptionAddress, DESCRIPTOR
  poke PAGE, "1 << 63"
  run "nop"
  exits X_EptViolation, qualification=0x81
  poke PAGE, "EPT + 7"
  again
  passes
  poke EPT_ENTRY, 0
  run "mov [rbx + 8], eax", "mov ebx, PLACE"
  guest_gets 20
  peek "DESCRIPTOR + 24", "PLACE + 8"
row "VMFUNC 0: EPT pointers of 4 and 5 levels in one list"
  set secondaryControls, Secondary_VmFunctions
  put vmFunctionControls, 1
  put eptpListAddress, OTHER_PAGE
  poke OTHER_PAGE, "EPT + 0x1e"
  poke "OTHER_PAGE + 8", "PAGE + 0x26"
  poke PAGE, "OTHER_EPT + 7"
  poke "OTHER_EPT + 0x6000 + 8", "WINDOW + 0x2037"
  poke "WINDOW + 0x2000", 0x22
  poke PLACE, 0x11
  run "vmcall", "mov ebx, PLACE; mov edx, [rbx]; xor eax, eax; mov ecx, 1; vmfunc; mov esi, [rbx]; xor eax, eax; xor ecx, ecx; vmfunc; mov edi, [rbx]; mov ecx, 1; vmfunc"
  exits X_Vmcall, length=3
  register 2, 0x11
  register 6, 0x22
  register 7, 0x11
  want eptPointer, "PAGE + 0x26"

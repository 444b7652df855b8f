# A processor whose EPTs have 4 levels.

row "IA32_VMX_EPT_VPID_CAP: page-walk length 4 alone"
  root "mov ecx, 0x48c; rdmsr; and eax, 0xc0; mov [scratch], eax"
  peek scratch, 0x40
row "no EPT pointer names 5 levels"
  run "nop"
  passes
  put eptPointer, "EPT + 0x26"
  resume
  refused E_EntryControls
  poke descriptor, "EPT + 0x26"
  root "mov eax, 1; invept rax, [descriptor]"
  fails E_InvalidInvalidation
  poke descriptor, "EPT + 0x1e"
  root "mov eax, 1; invept rax, [descriptor]"
  succeeds

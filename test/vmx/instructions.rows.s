# VMX instructions in root operation: every VM-instruction error that this processor can give, VMfailInvalid, and the order of faults.

row "error 1: VMCALL in root operation"
  root "vmcall"
  fails E_VmcallInRoot
row "error 2: VMCLEAR of a bad address"
  poke pointer, "VMCS + 0x10"
  root "vmclear [pointer]"
  fails E_VmclearAddress
  poke pointer, "1 << 45"
  root "vmclear [pointer]"
  fails E_VmclearAddress
row "error 3: VMCLEAR of the VMXON pointer"
  root "vmclear [vmxon_pointer]"
  fails E_VmclearVmxonPointer
row "error 4: VMLAUNCH of a VMCS that is not clear"
  run "cpuid"
  exits X_Cpuid, length=2
  root "vmlaunch"
  fails E_VmlaunchNotClear
row "error 5: VMRESUME of a VMCS that was not launched"
  root "vmresume"
  fails E_VmresumeNotLaunched
row "error 7: controls, ahead of 8: host state"
  clear pinBasedControls, 2
  put hostCr3, -1
  run "nop"
  refused E_EntryControls
  set pinBasedControls, 2
  again
  refused E_EntryHostState
row "error 4 and 5 are ahead of 7"
  run "cpuid"
  exits X_Cpuid, length=2
  clear pinBasedControls, 2
  root "vmlaunch"
  fails E_VmlaunchNotClear
  root "vmresume"
  fails E_EntryControls
row "error 9: VMPTRLD of a bad address"
  poke pointer, "VMCS + 1"
  root "vmptrld [pointer]"
  fails E_VmptrldAddress
  poke pointer, "1 << 39"
  root "vmptrld [pointer]"
  fails E_VmptrldAddress
row "error 10: VMPTRLD of the VMXON pointer"
  root "vmptrld [vmxon_pointer]"
  fails E_VmptrldVmxonPointer
row "error 11: VMPTRLD of a region with another revision"
  poke pointer, PAGE
  root "mov eax, [revision]; inc eax; mov [PAGE], eax; vmptrld [pointer]"
  fails E_VmptrldRevision
  # The current VMCS stays.
  root "vmptrst [scratch]"
  succeeds
  peek scratch, VMCS
row "error 12: VMREAD and VMWRITE of no field"
  root "mov eax, 0x6c1e; vmread rcx, rax"
  fails E_UnsupportedField
  root "mov eax, 0x6c1e; vmwrite rax, rcx"
  fails E_UnsupportedField
  # Bits 63:32 count.
  root "mov rax, 0x100000000 + guestRip; vmread rcx, rax"
  fails E_UnsupportedField
  # The high half of a field that has none.
  root "mov eax, guestRip + 1; vmread rcx, rax"
  fails E_UnsupportedField
row "error 15: VMXON in root operation"
  root "vmxon [vmxon_pointer]"
  fails E_VmxonInRoot
row "error 26: events blocked by MOV SS"
  root "mov eax, ss; mov ss, eax; vmlaunch"
  fails E_EntryMovSsBlocking
  # Ahead of the launch state, and of controls.
  clear pinBasedControls, 2
  root "mov eax, ss; mov ss, eax; vmresume"
  fails E_EntryMovSsBlocking
row "error 28: types and descriptors of INVEPT and INVVPID"
  root "xor eax, eax; invept rax, [descriptor]"
  fails E_InvalidInvalidation
  root "mov eax, 3; invept rax, [descriptor]"
  fails E_InvalidInvalidation
  # No EPTP.
  poke descriptor, "EPT | 7"
  root "mov eax, 1; invept rax, [descriptor]"
  fails E_InvalidInvalidation
  root "mov eax, 4; invvpid rax, [descriptor]"
  fails E_InvalidInvalidation
  poke descriptor, 0
  root "mov eax, 1; invvpid rax, [descriptor]"
  fails E_InvalidInvalidation
  poke descriptor, 0x10001
  root "mov eax, 1; invvpid rax, [descriptor]"
  fails E_InvalidInvalidation
  poke descriptor, 1
  poke "descriptor + 8", "1 << 60"
  root "xor eax, eax; invvpid rax, [descriptor]"
  fails E_InvalidInvalidation
  # The address counts for type 0 alone.
  root "mov eax, 1; invvpid rax, [descriptor]"
  succeeds
row "VMfailInvalid without a current VMCS"
  root "vmclear [pointer]"
  succeeds
  root "vmptrst [scratch]"
  succeeds
  peek scratch, -1
  root "mov eax, guestRip; vmread rcx, rax"
  fails_invalid
  root "mov eax, guestRip; vmwrite rax, rcx"
  fails_invalid
  root "vmlaunch"
  fails_invalid
  root "vmresume"
  fails_invalid
  root "vmcall"
  fails_invalid
  root "vmxon [vmxon_pointer]"
  fails_invalid
  poke scratch, 1
  root "vmclear [scratch]"
  fails_invalid
  root "vmptrld [scratch]"
  fails_invalid
  root "xor eax, eax; invept rax, [descriptor]"
  fails_invalid
  # The revision is that of the processor, and the region is good after a VMPTRLD.
  root "vmptrld [pointer]"
  succeeds
  root "mov eax, guestRip; vmread rcx, rax"
  succeeds
row "VMXOFF, VMXON, and what #UD refuses between"
  root "vmxoff"
  succeeds
  .irp instruction, "vmxoff", "vmclear [pointer]", "vmptrld [pointer]", "vmptrst [scratch]", "vmread rcx, rax", "vmwrite rax, rcx", "vmlaunch", "vmresume", "vmcall", "invept rax, [descriptor]", "invvpid rax, [descriptor]", "vmfunc"
  root "\instruction"
  raises 6
  .endr
  # VMXON: a region with another revision, a bad address, CR4.VMXE.
  poke pointer, "VMXON_REGION + 8"
  root "vmxon [pointer]"
  fails_invalid
  root "mov eax, [revision]; inc eax; mov [VMXON_REGION], eax; vmxon [vmxon_pointer]"
  fails_invalid
  root "mov eax, [revision]; mov [VMXON_REGION], eax; mov rax, cr4; btr eax, 13; mov cr4, rax; vmxon [vmxon_pointer]"
  raises 6
  root "mov rax, cr4; bts eax, 13; mov cr4, rax; vmxon [vmxon_pointer]"
  succeeds
row "VMXON with CR0.NE clear: #GP"
  root "vmxoff; mov rax, cr0; btr eax, 5; mov cr0, rax; vmxon [vmxon_pointer]"
  raises 13
  root "mov rax, cr0; bts eax, 5; mov cr0, rax; vmxon [vmxon_pointer]"
  succeeds
row "CR0 and CR4 in VMX operation: fixed bits"
  root "mov rax, cr0; btr eax, 5; mov cr0, rax"
  raises 13
  root "mov rax, cr4; btr eax, 13; mov cr4, rax"
  raises 13
row "ring 3: #GP, behind #UD, ahead of the operand's faults"
  .irp instruction, "vmxoff", "vmclear [pointer]", "vmptrld [pointer]", "vmptrst [scratch]", "vmread rcx, rax", "vmwrite rax, rcx", "vmlaunch", "vmresume", "vmcall", "invept rax, [descriptor]", "invvpid rax, [descriptor]", "vmxon [vmxon_pointer]"
  root_user "\instruction"
  raises 13
  .endr
  root_user "vmfunc"
  raises 6
  root_user "mov rax, 1 << 60; vmclear [rax]"
  raises 13
row "operands that fault"
  poke "HOST_TABLES + 0x6000 + 8", 0
  root "mov ebx, WINDOW + 0x1000; invlpg [rbx]; vmclear [rbx]"
  raises 14, 0
  root "mov ebx, WINDOW + 0x1000; vmptrst [rbx]"
  raises 14, 2
  root "mov ebx, WINDOW + 0x1000; mov eax, guestRip; vmread [rbx], rax"
  raises 14, 2
  root "mov ebx, WINDOW + 0x1000; mov eax, guestRip; vmwrite rax, [rbx]"
  raises 14, 0
  # 16 bytes, of which the last ones are missing.
  root "mov ebx, WINDOW + 0xff8; mov eax, 2; invept rax, [rbx]"
  raises 14, 0
  root "mov rbx, 1 << 60; mov eax, 2; invvpid rax, [rbx]"
  raises 13
  # No VMREAD to memory without a field, and no access either.
  root "mov ebx, WINDOW + 0x1000; mov eax, 0x6c1e; vmread [rbx], rax"
  fails E_UnsupportedField
  root "mov eax, WINDOW + 0x1000; mov ebx, eax; mov rcx, cr3; mov cr3, rcx"
  poke "HOST_TABLES + 0x6000 + 8", "WINDOW + 0x1067"
row "a VMLAUNCH that is refused or fails leaves the VMCS clear"
  put guestRflags, 0
  run "cpuid"
  fails_entry X_EntryFailureGuestState
  root "vmresume"
  fails E_VmresumeNotLaunched
  put guestRflags, 2
  again
  exits X_Cpuid, length=2
row "the launch state and fields live in the region"
  run "cpuid"
  exits X_Cpuid, length=2
  put guestRsp, 0x1234
  # Another VMCS, and back.
  poke scratch, PAGE
  root "mov eax, [revision]; mov [PAGE], eax; vmclear [scratch]; vmptrld [scratch]; mov eax, guestRsp; mov ecx, 5; vmwrite rax, rcx; vmptrld [pointer]"
  succeeds
  want guestRsp, 0x1234
  root "vmlaunch"
  fails E_VmlaunchNotClear
  root "vmclear [pointer]; vmptrld [pointer]"
  succeeds
  root "vmresume"
  fails E_VmresumeNotLaunched
row "VMREAD and VMWRITE by width and half"
  put tscOffset, 0x1111222233334444
  root "mov eax, tscOffset + 1; vmread rcx, rax; mov [scratch], rcx"
  peek scratch, 0x11112222
  root "mov eax, tscOffset + 1; mov rcx, 0x700000005; vmwrite rax, rcx"
  want tscOffset, 0x533334444
  root "mov eax, guestCsSelector; mov ecx, 0x123456; vmwrite rax, rcx"
  want guestCsSelector, 0x3456
  root "mov eax, guestCsLimit; mov rcx, 0x123456789a; vmwrite rax, rcx"
  want guestCsLimit, 0x3456789a
  # Exit information can be written to, as IA32_VMX_MISC says.
  root "mov eax, exitReason; mov ecx, 5; vmwrite rax, rcx"
  succeeds
  want exitReason, 5
row "a shadow VMCS is for no entry"
  poke scratch, SHADOW_VMCS
  root "mov eax, [revision]; bts eax, 31; mov [SHADOW_VMCS], eax; vmptrld [scratch]"
  succeeds
  root "vmlaunch"
  fails_invalid
  root "vmptrld [pointer]"
  succeeds

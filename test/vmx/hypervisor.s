# A hypervisor for conformance rows: a Multiboot kernel that enters VMX root operation and does what the rows' scripts say (rows.macros), each from a fresh VMCS.
# Intel syntax. Constants in capitals come from the tables of the emulator (constants.ts); addresses of tables and pages, too.

  .code32
  .balign 4
multiboot:
  .long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
  .long multiboot, multiboot, image_end, image_end, start

# 4 KB entries for GPA or GVA WINDOW to WINDOW + 2 MB, 2 MB leaves for the rest of 4 GB.
  .macro identity root:req, table:req, large:req, small:req
  mov dword ptr [\root], \root + 0x1000 + \table
  xor ecx, ecx
1:mov eax, ecx
  shl eax, 12
  add eax, \root + 0x2000 + \table
  mov [\root + 0x1000 + ecx * 8], eax
  inc ecx
  cmp ecx, 4
  jb 1b
  xor ecx, ecx
1:mov eax, ecx
  shl eax, 21
  or eax, \large
  mov [\root + 0x2000 + ecx * 8], eax
  inc ecx
  cmp ecx, 2048
  jb 1b
  mov dword ptr [\root + 0x2000 + (WINDOW >> 21) * 8], \root + 0x6000 + \table
  xor ecx, ecx
1:mov eax, ecx
  shl eax, 12
  add eax, WINDOW + \small
  mov [\root + 0x6000 + ecx * 8], eax
  inc ecx
  cmp ecx, 512
  jb 1b
  .endm

start:
  mov esp, offset host_stack
  identity HOST_TABLES, 0x67, 0xe7, 0x67
  identity GUEST_TABLES, 0x67, 0xe7, 0x67
  identity EPT, 7, 0xb7, 0x37
  identity OTHER_EPT, 7, 0xb7, 0x37
  mov eax, CR4_PAE | CR4_OSFXSR | CR4_OSXSAVE | CR4_VMXE
  mov cr4, eax
  mov eax, HOST_TABLES
  mov cr3, eax
  mov ecx, MSR_EFER
  mov eax, EFER_LME | EFER_NXE | EFER_SCE
  xor edx, edx
  wrmsr
  mov eax, CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE
  mov cr0, eax
  lgdt [gdt_pointer]
  .byte 0xea
  .long long_mode
  .word CODE_SELECTOR

  .code64
long_mode:
  mov eax, DATA_SELECTOR
  mov ds, eax
  mov es, eax
  mov ss, eax
  mov fs, eax
  mov gs, eax
  mov rsp, offset host_stack
  # The base of the TSS into its descriptor.
  mov eax, offset tss
  mov [gdt + TSS_SELECTOR + 2], ax
  shr eax, 16
  mov [gdt + TSS_SELECTOR + 4], al
  mov [gdt + TSS_SELECTOR + 7], ah
  mov eax, TSS_SELECTOR
  ltr ax
  mov rsi, offset host_handlers
  mov rdi, offset host_idt
  call fill_idt
  mov rsi, offset guest_handlers
  mov rdi, offset guest_idt
  call fill_idt
  # INT 80H leaves ring 3.
  mov byte ptr [host_idt + 0x80 * 16 + 5], 0xee
  mov byte ptr [guest_idt + 0x80 * 16 + 5], 0xee
  lidt [host_idt_pointer]
  # The local APIC, software-enabled.
  mov eax, LOCAL_APIC
  mov dword ptr [rax + 0xf0], 0x1ff
  mov ecx, MSR_FEATURE_CONTROL
  mov eax, 5
  xor edx, edx
  wrmsr
  mov ecx, MSR_VMX_BASIC
  rdmsr
  mov [revision], eax
  mov [VMXON_REGION], eax
  mov [VMCS], eax
  mov rax, VMXON_REGION
  mov [pointer], rax
  vmxon [pointer]
  jbe broken
  # What every row finds.
  mov esi, STATE
  mov edi, PRISTINE
  mov ecx, STATE_BYTES / 8
  rep movsq
  lea r15, [rows]
next_row:
  cmp r15, offset rows_end
  jae finished
  mov [row], r15
  mov r14, [r15 + 8]
  call fresh_state
next:
  mov rsp, offset host_stack
  mov [cursor], r14
  mov rax, [r14]
  jmp [operations + rax * 8]
advance:
  mov r14, [cursor]
  mov r15, [row]
  add r14, 32
  jmp next
finished:
  mov dword ptr [done], 1
  mov al, 0
  mov dx, 0xf4
  out dx, al
broken:
  hlt
  jmp broken

  # RSI: handlers, 16 bytes each. RDI: the table.
fill_idt:
  xor ecx, ecx
1:mov eax, esi
  mov [rdi], ax
  mov word ptr [rdi + 2], CODE_SELECTOR
  mov word ptr [rdi + 4], 0x8e00
  shr eax, 16
  mov [rdi + 6], ax
  mov qword ptr [rdi + 8], 0
  add rdi, 16
  add rsi, 16
  inc ecx
  cmp ecx, 256
  jb 1b
  ret

  # Memory as at the start, and a VMCS that an entry takes.
fresh_state:
  mov esi, PRISTINE
  mov edi, STATE
  mov ecx, STATE_BYTES / 8
  rep movsq
  mov edi, WINDOW
  mov ecx, WINDOW_BYTES / 8
  xor eax, eax
  rep stosq
  mov edi, offset variables
  mov ecx, (variables_end - variables) / 8
  rep stosq
  # An NMI that exited holds others back until IRET; an interrupt may be in service.
  mov rax, rsp
  push DATA_SELECTOR
  push rax
  push 2
  push CODE_SELECTOR
  push offset 1f
  iretq
1:mov eax, LOCAL_APIC
  mov dword ptr [rax + 0xb0], 0
  mov eax, CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE
  mov cr0, rax
  mov eax, HOST_TABLES
  mov cr3, rax
  mov eax, CR4_PAE | CR4_OSFXSR | CR4_OSXSAVE | CR4_VMXE
  mov cr4, rax
  xor eax, eax
  mov cr2, rax
  mov ecx, 0x400
  mov dr7, rcx
  mov ecx, 0xffff0ff0
  mov dr6, rcx
  mov rax, VMXON_REGION
  mov [vmxon_pointer], rax
  mov eax, [revision]
  mov [VMCS], eax
  mov rax, VMCS
  mov [pointer], rax
  vmclear [pointer]
  vmptrld [pointer]
  # INVEPT and INVVPID of all contexts.
  mov ecx, 2
  xor eax, eax
  mov [descriptor], rax
  mov [descriptor + 8], rax
  invept rcx, [descriptor]
  invvpid rcx, [descriptor]
fresh_vmcs:
  mov rsi, offset baseline
1:mov rax, [rsi]
  mov rcx, [rsi + 8]
  vmwrite rax, rcx
  jbe broken
  add rsi, 16
  cmp rsi, offset baseline_end
  jb 1b
  # Controls: what the row wants at least, what must be, what may be.
  mov rsi, offset controls
1:mov ecx, [rsi + 16]
  rdmsr
  or eax, [rsi + 8]
  and eax, edx
  mov ecx, eax
  mov rax, [rsi]
  vmwrite rax, rcx
  add rsi, 24
  cmp rsi, offset controls_end
  jb 1b
  ret

# Operations: RAX the number, then three words. R14 is at the operation.
op_end:
  add r15, 16
  jmp next_row
  # Field = field & b | c.
op_change:
  mov rcx, [r14 + 8]
  vmread rax, rcx
  jbe refused
  and rax, [r14 + 16]
  or rax, [r14 + 24]
  vmwrite rcx, rax
  ja advance
refused:
  mov rax, -1
  jmp failed
  # Memory, 64 bits: & b | c.
op_poke:
  mov rcx, [r14 + 8]
  mov rax, [rcx]
  and rax, [r14 + 16]
  or rax, [r14 + 24]
  mov [rcx], rax
  jmp advance
  # A guest that begins at a, with general registers 0; the instruction at b is looked at, what is behind it is c.
op_launch:
  mov rax, [r14 + 8]
  mov ecx, guestRip
  vmwrite rcx, rax
  mov rax, [r14 + 16]
  mov [looked_at], rax
  mov rax, [r14 + 24]
  mov [behind], rax
  xor eax, eax
  mov edi, offset guest_registers
  mov ecx, 16
  rep stosq
  # As it stands.
op_resume:
  mov rax, offset host_stack
  mov ecx, hostRsp
  vmwrite rcx, rax
  call load_guest_registers
  cmp dword ptr [launched], 0
  jne 2f
  vmlaunch
  jmp 3f
2:vmresume
3:pushfq
  pop rax
  and eax, 0x8d5
  mov [outcome], rax
  jmp advance
  # Guest registers as the VMCS does not hold them.
load_guest_registers:
  mov rbx, [guest_registers + 3 * 8]
  mov rcx, [guest_registers + 1 * 8]
  mov rdx, [guest_registers + 2 * 8]
  mov rbp, [guest_registers + 5 * 8]
  mov rsi, [guest_registers + 6 * 8]
  mov rdi, [guest_registers + 7 * 8]
  mov r8, [guest_registers + 8 * 8]
  mov r9, [guest_registers + 9 * 8]
  mov rax, [guest_registers]
  ret
vm_exit:
  mov [guest_registers], rax
  mov [guest_registers + 1 * 8], rcx
  mov [guest_registers + 2 * 8], rdx
  mov [guest_registers + 3 * 8], rbx
  mov [guest_registers + 5 * 8], rbp
  mov [guest_registers + 6 * 8], rsi
  mov [guest_registers + 7 * 8], rdi
  mov [guest_registers + 8 * 8], r8
  mov [guest_registers + 9 * 8], r9
  mov qword ptr [outcome], 0
  inc dword ptr [exits]
  mov ecx, exitReason
  vmread rax, rcx
  # A failed entry does not make the VMCS launched.
  bt eax, 31
  jc advance
  mov dword ptr [launched], 1
  jmp advance

  # Field & b must be c.
op_want:
  mov rcx, [r14 + 8]
  vmread rax, rcx
  jbe refused
  and rax, [r14 + 16]
  cmp rax, [r14 + 24]
  je advance
  # RAX: what was found.
failed:
  mov ecx, [failures]
  cmp ecx, MOST_FAILURES
  jae advance
  inc dword ptr [failures]
  imul ecx, ecx, 24
  mov rdx, [row]
  mov [failure_list + rcx], rdx
  mov rdx, [cursor]
  mov [failure_list + rcx + 8], rdx
  mov [failure_list + rcx + 16], rax
  jmp advance
  # Memory & b must be c.
op_peek:
  mov rcx, [r14 + 8]
  mov rax, [rcx]
  and rax, [r14 + 16]
  cmp rax, [r14 + 24]
  je advance
  jmp failed
  # The guest was left with reason a, at its instruction (b = 0) or behind it (b = 1). c: instruction length, or -1.
op_exit:
  cmp qword ptr [outcome], 0
  mov rax, [outcome]
  jne failed
  mov ecx, exitReason
  vmread rax, rcx
  cmp rax, [r14 + 8]
  jne failed
  mov ecx, guestRip
  vmread rax, rcx
  mov rdx, [r14 + 16]
  cmp rdx, 2
  je 1f
  cmp rax, [looked_at + rdx * 8]
  jne failed
1:mov rdx, [r14 + 24]
  cmp rdx, -1
  je advance
  mov ecx, exitInstructionLength
  vmread rax, rcx
  cmp rax, rdx
  jne failed
  jmp advance
  # VMLAUNCH or VMRESUME left flags a; b: VM-instruction error unless 0.
op_outcome:
  mov rax, [outcome]
  cmp rax, [r14 + 8]
  jne failed
  mov rdx, [r14 + 16]
  test edx, edx
  jz advance
  mov ecx, instructionError
  vmread rax, rcx
  cmp rax, rdx
  jne failed
  jmp advance
  # Root code at a, in ring 0. Its flags, or the exception that it raises, are the outcome.
op_call:
  mov qword ptr [host_vector], -1
  mov rax, [r14 + 8]
  mov [called], rax
  xor eax, eax
  push rax
  popfq
  call [called]
called_back:
  pushfq
  pop rax
  and eax, 0x8d5
  mov [outcome], rax
  jmp advance
  # The same in ring 3; it ends with INT 80H.
op_call_user:
  mov qword ptr [host_vector], -1
  push USER_DATA | 3
  push offset user_stack
  push 2
  push USER_CODE | 3
  push [r14 + 8]
  iretq
  # The last call raised vector a (-1: none) with error code b.
op_raised:
  mov rax, [host_vector]
  cmp rax, [r14 + 8]
  jne failed
  mov rax, [host_error]
  cmp qword ptr [r14 + 8], -1
  je advance
  cmp rax, [r14 + 16]
  jne failed
  jmp advance
  # Register a of the guest & b must be c.
op_register:
  mov rcx, [r14 + 8]
  mov rax, [guest_registers + rcx * 8]
  and rax, [r14 + 16]
  cmp rax, [r14 + 24]
  je advance
  jmp failed
  # The guest goes on behind the instruction that exited.
op_skip:
  mov ecx, exitInstructionLength
  vmread rax, rcx
  mov ecx, guestRip
  vmread rdx, rcx
  add rdx, rax
  vmwrite rcx, rdx
  jmp advance

  .balign 8
operations:
  .quad op_end, op_change, op_poke, op_launch, op_resume, op_want, op_peek, op_exit, op_outcome, op_call, op_call_user, op_raised, op_register, op_skip

# Exceptions and interrupts of root operation: the row's next operation follows.
  .macro handlers common
  .set vector, 0
  .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
      push 0
    .endif
    push vector
    jmp \common
    .set vector, vector + 1
  .endr
  .endm
  .balign 16
host_handlers:
  handlers host_event
host_event:
  mov eax, DATA_SELECTOR
  mov ds, eax
  pop rax
  pop rcx
  cmp eax, 0x80
  je called_back
  mov [host_vector], rax
  mov [host_error], rcx
  pop rax
  mov [host_event_rip], rax
  jmp advance

# The guest tells of its events by VMCALL, and goes on if it is resumed behind it.
  .balign 16
guest_handlers:
  handlers guest_event
guest_event:
  push rax
  mov rax, [rsp + 8]
  mov [guest_vector], rax
  mov rax, [rsp + 16]
  mov [guest_error], rax
  mov rax, [rsp + 24]
  mov [guest_event_rip], rax
  mov rax, [rsp + 40]
  mov [guest_event_rflags], rax
  mov rax, [rsp + 48]
  mov [guest_event_rsp], rax
  inc qword ptr [guest_events]
  pop rax
  add rsp, 16
guest_told:
  vmcall
  # Random guests go on behind what faulted, or near it.
  push rax
  mov rax, [guest_step]
  add [rsp + 8], rax
  pop rax
  iretq

  .balign 16
gdt:
  .quad 0, 0
  .quad 0x00af9b000000ffff, 0x00cf93000000ffff
  .quad 0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff
  .quad 0x0000890000000067, 0
  # 48H: a task that is not busy; 50H: 32-bit code.
  .quad 0x0000890000000067, 0x00cf9b000000ffff
  .skip 0x80 - 11 * 8
gdt_pointer:
  .word 0x7f
  .long gdt
host_idt_pointer:
  .word 0xfff
  .quad host_idt
  .balign 16
tss:
  .long 0
  .quad guest_ring0_stack
  .skip 0x68 - 12
revision: .long 0
done: .long 0
failures: .long 0
  .balign 8
row: .quad 0
cursor: .quad 0
pointer: .quad 0
vmxon_pointer: .quad 0
called: .quad 0
# Zeroed for every row.
  .balign 8
variables:
launched: .quad 0
exits: .quad 0
outcome: .quad 0
looked_at: .quad 0
behind: .quad 0
host_vector: .quad 0
host_error: .quad 0
host_event_rip: .quad 0
guest_vector: .quad 0
guest_error: .quad 0
guest_event_rip: .quad 0
guest_event_rflags: .quad 0
guest_event_rsp: .quad 0
guest_events: .quad 0
guest_step: .quad 0
guest_registers: .fill 16, 8, 0
descriptor: .quad 0, 0
scratch: .quad 0, 0, 0, 0
variables_end:
failure_list: .fill MOST_FAILURES * 3, 8, 0
  .balign 16
host_idt: .fill 512, 8, 0
guest_idt: .fill 512, 8, 0
  .skip 4096
host_stack:
  .skip 4096
guest_stack:
  .skip 4096
guest_ring0_stack:
  .skip 4096
user_stack:
  .quad 0

  .balign 8
controls:
  .quad pinBasedControls, Pin_ExternalInterruptExiting | Pin_NmiExiting | Pin_VirtualNmis, 0x48d
  .quad primaryControls, Primary_MsrBitmaps | Primary_SecondaryControls, 0x48e
  .quad secondaryControls, Secondary_Ept | Secondary_Vpid, 0x48b
  .quad exitControls, Exit_Host64 | Exit_AcknowledgeInterrupt, 0x48f
  .quad entryControls, Entry_Ia32eGuest, 0x490
controls_end:
baseline:
  .quad vpid, 1, eptPointer, EPT | 0x1e, msrBitmaps, MSR_BITMAP, vmcsLinkPointer, -1
  .irp field, exceptionBitmap, pageFaultErrorCodeMask, pageFaultErrorCodeMatch, cr3TargetCount, cr0Mask, cr0Shadow, cr4Mask, cr4Shadow
    .quad \field, 0
  .endr
  .irp field, entryInterruptionInformation, entryExceptionErrorCode, entryInstructionLength, entryMsrLoadCount, exitMsrLoadCount, exitMsrStoreCount
    .quad \field, 0
  .endr
  .irp field, tprThreshold, tscOffset, virtualApicAddress, apicAccessAddress, postedInterruptDescriptorAddress, postedInterruptNotificationVector
    .quad \field, 0
  .endr
  .irp field, eoiExitBitmap0, eoiExitBitmap1, eoiExitBitmap2, eoiExitBitmap3, vmFunctionControls, eptpListAddress, eptpIndex, virtualizationExceptionAddress
    .quad \field, 0
  .endr
  .irp field, vmreadBitmap, vmwriteBitmap, pmlAddress, pmlIndex, sppTablePointer, tscMultiplier, preemptionTimerValue, pleGap, pleWindow, xssExitingBitmap
    .quad \field, 0
  .endr
  .irp field, tertiaryControls, pidPointerTableAddress, lastPidPointerIndex
    .quad \field, 0
  .endr
  .irp field, ioBitmapA, ioBitmapB, guestInterruptStatus, guestInterruptibility, guestActivity, guestPendingDebugExceptions, guestDebugctl
    .quad \field, 0
  .endr
  .irp segment, Es, Ss, Ds, Fs, Gs
    .quad guest\segment\()Selector, DATA_SELECTOR, guest\segment\()Base, 0
    .quad guest\segment\()Limit, 0xffffffff, guest\segment\()AccessRights, 0xc093
    .quad host\segment\()Selector, DATA_SELECTOR
  .endr
  .quad guestCsSelector, CODE_SELECTOR, guestCsBase, 0, guestCsLimit, 0xffffffff, guestCsAccessRights, 0xa09b
  .quad guestLdtrSelector, 0, guestLdtrBase, 0, guestLdtrLimit, 0, guestLdtrAccessRights, 0x10000
  .quad guestTrSelector, TSS_SELECTOR, guestTrBase, tss, guestTrLimit, 0x67, guestTrAccessRights, 0x8b
  .quad guestGdtrBase, gdt, guestGdtrLimit, 0x7f, guestIdtrBase, guest_idt, guestIdtrLimit, 0xfff
  .quad guestCr0, CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE, guestCr3, GUEST_TABLES, guestCr4, CR4_PAE | CR4_OSFXSR | CR4_OSXSAVE | CR4_VMXE
  .quad guestRsp, guest_stack, guestRip, guest_told, guestRflags, 2, guestDr7, 0x400
  .quad guestSysenterCs, 0, guestSysenterEsp, 0, guestSysenterEip, 0, guestEfer, 0, guestPat, 0x0007040600070406
  .quad guestPdpte0, 0, guestPdpte1, 0, guestPdpte2, 0, guestPdpte3, 0
  .quad hostCsSelector, CODE_SELECTOR, hostTrSelector, TSS_SELECTOR, hostFsBase, 0, hostGsBase, 0, hostTrBase, tss, hostGdtrBase, gdt, hostIdtrBase, host_idt
  .quad hostCr0, CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE, hostCr3, HOST_TABLES, hostCr4, CR4_PAE | CR4_OSFXSR | CR4_OSXSAVE | CR4_VMXE
  .quad hostRsp, host_stack, hostRip, vm_exit, hostSysenterCs, 0, hostSysenterEsp, 0, hostSysenterEip, 0, hostEfer, 0, hostPat, 0x0007040600070406
baseline_end:

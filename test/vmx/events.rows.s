# Event injection of every kind, what its delivery may meet, blocking of events, MSR areas.

row "inject: external interrupt"
  put guestRflags, 0x202
  put entryInterruptionInformation, 0x80000030
  run "nop"
  guest_gets 0x30
  peek guest_event_rip, LAST_GUEST
  # An exit clears the valid bit alone.
  want entryInterruptionInformation, 0x30
row "inject: NMI, which blocks virtual NMIs until IRET"
  put entryInterruptionInformation, 0x80000202
  run "nop"
  guest_gets 2
  want guestInterruptibility, 8
  skip
  resume
  passes
  want guestInterruptibility, 0
row "inject: hardware exceptions with and without an error code"
  put entryInterruptionInformation, 0x80000b0d
  put entryExceptionErrorCode, 0x1234
  run "nop"
  guest_gets 13, 0x1234
  put entryInterruptionInformation, 0x80000306
  again
  guest_gets 6
  # CR2 is the hypervisor's business.
  root "mov eax, 0x777; mov cr2, rax"
  put entryInterruptionInformation, 0x80000b0e
  put entryExceptionErrorCode, 2
  again
  guest_gets 14, 2
  root "mov rax, cr2; mov [scratch], rax"
  peek scratch, 0x777
row "inject: software interrupt, INT1, INT3: RIP behind the instruction"
  put entryInstructionLength, 2
  put entryInterruptionInformation, 0x80000441
  run "nop"
  guest_gets 0x41
  peek guest_event_rip, "LAST_GUEST + 2"
  put entryInstructionLength, 1
  put entryInterruptionInformation, 0x80000501
  again
  guest_gets 1
  peek guest_event_rip, "LAST_GUEST + 1"
  put entryInterruptionInformation, 0x80000603
  again
  guest_gets 3
  peek guest_event_rip, "LAST_GUEST + 1"
  # As bit 30 of IA32_VMX_MISC says.
  put entryInstructionLength, 0
  put entryInterruptionInformation, 0x80000603
  again
  guest_gets 3
  peek guest_event_rip, LAST_GUEST
row "inject: pending MTF"
  put entryInterruptionInformation, 0x80000700
  run "nop"
  exits X_MonitorTrapFlag
row "inject: the exception bitmap is not asked"
  put exceptionBitmap, -1
  put entryInterruptionInformation, 0x80000306
  run "nop"
  guest_gets 6
row "inject: MTF exits behind the delivery"
  set primaryControls, Primary_MonitorTrapFlag
  put entryInterruptionInformation, 0x80000306
  run "nop"
  exits X_MonitorTrapFlag, where=2
  want guestRip, "guest_handlers + 6 * 16"
row "inject: the delivery meets an EPT violation"
  poke "EPT + 0x6000 + 24", "WINDOW + 0x3000 + 0x30"
  put guestRsp, "WINDOW + 0x4000"
  put entryInterruptionInformation, 0x80000b0d
  put entryExceptionErrorCode, 0x18
  run "nop"
  exits X_EptViolation, qualification=0x782, vectoring=0x80000b0d
  want idtVectoringErrorCode, 0x18
  put entryInstructionLength, 2
  put entryInterruptionInformation, 0x80000441
  again
  exits X_EptViolation, length=2, qualification=0x782, vectoring=0x80000441
  put guestRflags, 0x202
  put entryInterruptionInformation, 0x80000030
  again
  exits X_EptViolation, qualification=0x782, vectoring=0x80000030
  put entryInterruptionInformation, 0x80000202
  again
  op OP_EXIT, X_EptViolation, 0, 0
  want idtVectoringInformation, 0x80000202
row "inject: the delivery meets exceptions that exit"
  put exceptionBitmap, "(1 << 8) | (1 << 11) | (1 << 14)"
  poke "guest_idt + 6 * 16 + 4", 0x0e00, ~0xffff
  put entryInterruptionInformation, 0x80000306
  run "nop"
  exits X_ExceptionOrNmi, interruption=0x80000b0b, error=0x33, vectoring=0x80000306
  poke "guest_idt + 6 * 16 + 4", 0x8e00, ~0xffff
  # Contributory on contributory: #DF, unless the second one exits before.
  put exceptionBitmap, "1 << 8"
  poke "guest_idt + 13 * 16 + 4", 0x0e00, ~0xffff
  run "mov ds, eax", "mov eax, 0x1000"
  # An exit for #DF itself is not one during delivery (SDM 3C 28.2.4).
  exits X_ExceptionOrNmi, interruption=0x80000b08
  poke "guest_idt + 13 * 16 + 4", 0x8e00, ~0xffff
row "inject: into a guest that halts"
  put guestActivity, 1
  put guestRflags, 0x202
  put entryInterruptionInformation, 0x80000030
  run "nop"
  guest_gets 0x30
row "pending debug exceptions: a single step that was due"
  put guestRflags, 0x102
  put guestPendingDebugExceptions, 0x4000
  put exceptionBitmap, 2
  run "nop"
  exits X_ExceptionOrNmi, qualification=0x4000, interruption=0x80000301
  # Hardware exceptions come in its place, software ones do not.
  put guestPendingDebugExceptions, 0x4000
  put entryInterruptionInformation, 0x80000306
  again
  guest_gets 6
row "pending debug exceptions: held by MOV SS at the exit"
  set entryControls, Entry_LoadDebugControls
  put guestDr7, 0x30403
  root "mov eax, offset scratch; mov dr0, rax; mov dword ptr [rax], DATA_SELECTOR"
  run "cpuid", "mov ss, word ptr [scratch]"
  exits X_Cpuid, length=2
  want guestInterruptibility, 2
  want guestPendingDebugExceptions, 0x1001
  # The next entry has it still.
  skip
  put guestInterruptibility, 0
  resume
  guest_gets 1
  peek guest_event_rip, LAST_BEHIND
row "blocking by STI and MOV SS at exits"
  run "cpuid", "sti"
  exits X_Cpuid, length=2
  want guestInterruptibility, 1
  put guestInterruptibility, 0
  run "cpuid", "mov eax, ss; mov ss, eax"
  exits X_Cpuid, length=2
  want guestInterruptibility, 2
  put guestInterruptibility, 0
  run "cpuid", "sti; nop"
  exits X_Cpuid, length=2
  want guestInterruptibility, 0
row "blocking by STI holds the interrupt window back for one instruction"
  set primaryControls, Primary_InterruptWindowExiting
  put guestRflags, 0x202
  put guestInterruptibility, 1
  run "nop"
  exits X_InterruptWindow, where=1
  put guestInterruptibility, 2
  run "nop"
  exits X_InterruptWindow, where=1
row "the interrupt window opens when IRET or POPF sets IF"
  set primaryControls, Primary_InterruptWindowExiting
  run "popfq", "push 0x202"
  exits X_InterruptWindow, where=1
  put guestRflags, 2
  run "nop", "mov rax, rsp; push DATA_SELECTOR; push rax; push 0x202; push CODE_SELECTOR; push offset 1f; iretq; 1:"
  exits X_InterruptWindow
row "the interrupt window wakes a guest that halts"
  set primaryControls, Primary_InterruptWindowExiting
  put guestRflags, 0x202
  put guestActivity, 1
  run "nop"
  exits X_InterruptWindow
  want guestActivity, 1
row "the NMI window is ahead of the interrupt window, the timer ahead of both, MTF ahead of it"
  set primaryControls, "Primary_InterruptWindowExiting | Primary_NmiWindowExiting"
  put guestRflags, 0x202
  run "nop"
  exits X_NmiWindow
  set pinBasedControls, Pin_PreemptionTimer
  put preemptionTimerValue, 0
  again
  exits X_PreemptionTimerExpired
  put entryInterruptionInformation, 0x80000700
  again
  exits X_MonitorTrapFlag
row "the timer's rest is saved when asked for"
  set pinBasedControls, Pin_PreemptionTimer
  put preemptionTimerValue, 5000
  run "cpuid"
  exits X_Cpuid, length=2
  want preemptionTimerValue, 5000
  set exitControls, Exit_SavePreemptionTimer
  again
  exits X_Cpuid, length=2
  want preemptionTimerValue, 0, ~0x1fff
  run "l_timer: jmp l_timer"
  exits X_PreemptionTimerExpired
  want preemptionTimerValue, 0
row "an exit for #GP of IRET tells that NMIs were unblocked"
  put exceptionBitmap, "1 << 13"
  put guestInterruptibility, 8
  run "iretq", "push DATA_SELECTOR; push 0; push 2; push 0x7c; push 0"
  exits X_ExceptionOrNmi, interruption=0x80001b0d, error=0x7c
  want guestInterruptibility, 0
row "TSC: offset, scaling"
  set primaryControls, Primary_TscOffsetting
  put tscOffset, "1 << 60"
  run "rdtsc"
  passes
  register 2, "1 << 28", 0xf0000000
  clear primaryControls, Primary_TscOffsetting
  again
  passes
  register 2, 0, 0xf0000000
  set primaryControls, Primary_TscOffsetting
  set secondaryControls, Secondary_TscScaling
  put tscMultiplier, "1 << 20"
  again
  passes
  # 2^-28 of the time so far is next to nothing.
  register 2, "1 << 28", -1
  register 0, 0, ~0xffff
row "MSR areas: loads of an entry, stores and loads of an exit"
  poke MSR_AREA, 0x174
  poke "MSR_AREA + 8", 0x1230
  put entryMsrLoadAddress, MSR_AREA
  put entryMsrLoadCount, 1
  poke PAGE, 0x174
  put exitMsrStoreAddress, PAGE
  put exitMsrStoreCount, 1
  poke OTHER_PAGE, 0x174
  poke "OTHER_PAGE + 8", 0x4560
  put exitMsrLoadAddress, OTHER_PAGE
  put exitMsrLoadCount, 1
  run "cpuid", "mov ecx, 0x174; rdmsr; mov ebx, eax"
  exits X_Cpuid, length=2
  register 3, 0x1230
  peek "PAGE + 8", 0x1230
  want guestSysenterCs, 0x1230
  root "mov ecx, 0x174; rdmsr; mov [scratch], rax"
  peek scratch, 0x4560
# Entries of the area that cannot be loaded, each as the second of two.
  .macro bad_msr name:req, index:req, value=0
row "MSR area: \name"
  poke MSR_AREA, 0x174
  poke "MSR_AREA + 16", "\index"
  poke "MSR_AREA + 24", "\value"
  put entryMsrLoadAddress, MSR_AREA
  put entryMsrLoadCount, 2
  put exitInstructionLength, 0x55
  put exitInterruptionInformation, 0x66
  put entryInterruptionInformation, 0x80000306
  run "nop"
  fails_entry X_EntryFailureMsrLoading, 2
  # Nothing else is written.
  want exitInstructionLength, 0x55
  want exitInterruptionInformation, 0x66
  want entryInterruptionInformation, 0x80000306
  root "vmresume"
  fails E_VmresumeNotLaunched
  put entryMsrLoadCount, 1
  put entryInterruptionInformation, 0
  again
  passes
  .endm
  bad_msr "IA32_FS_BASE", 0xc0000100
  bad_msr "IA32_GS_BASE", 0xc0000101
  bad_msr "an x2APIC register", 0x808
  bad_msr "reserved bits", 0x100000174
  bad_msr "no such MSR", 0xc0000199
  bad_msr "a read-only MSR", 0x480
  bad_msr "IA32_LSTAR, not canonical", 0xc0000082, "1 << 60"
  bad_msr "IA32_EFER that leaves long mode", 0xc0000080
  bad_msr "IA32_PAT with a reserved type", 0x277, 2
row "MSR area: 513 entries"
  root "mov edi, MSR_AREA; mov ecx, 512; 1: mov qword ptr [rdi], 0x174; mov qword ptr [rdi + 8], 0; add rdi, 16; loop 1b"
  put entryMsrLoadAddress, MSR_AREA
  put entryMsrLoadCount, 513
  run "nop"
  fails_entry X_EntryFailureMsrLoading, 513
  put entryMsrLoadCount, 512
  again
  passes
row "a failed entry leaves NMIs blocked as they were"
  run "nop", "mov eax, LOCAL_APIC; mov dword ptr [rax + 0x300], 0x44400; nop; nop"
  op OP_EXIT, X_ExceptionOrNmi, 2
  put guestInterruptibility, 0
  poke MSR_AREA, 0xc0000100
  put entryMsrLoadAddress, MSR_AREA
  put entryMsrLoadCount, 1
  run "nop"
  fails_entry X_EntryFailureMsrLoading, 1
  root "mov eax, LOCAL_APIC; mov dword ptr [rax + 0x300], 0x44400; nop; nop"
  succeeds
  # IRET lets it in.
  root "mov rax, rsp; push DATA_SELECTOR; push rax; push 2; push CODE_SELECTOR; push offset 1f; iretq; 1: nop"
  raises 2
row "3 INIT"
  run "nop", "mov eax, LOCAL_APIC; mov dword ptr [rax + 0x310], 0; mov dword ptr [rax + 0x300], 0x4500; nop; nop"
  exits X_InitSignal, where=2
row "4 start-up IPI, from another processor"
  root "mov esi, offset trampoline; mov edi, TRAMPOLINE; mov ecx, trampoline_end - trampoline; rep movsb; mov eax, LOCAL_APIC; mov dword ptr [rax + 0x300], 0xc4500; mov dword ptr [rax + 0x300], 0xc4600 + (TRAMPOLINE >> 12)"
  put guestActivity, 3
  run "nop"
  exits X_StartupIpi, qualification=0x40
  want guestActivity, 3
  # The other processor, in real mode: time for the entry, then SIPI 40H to this one by its x2APIC.
  .text 4
  .code16
trampoline:
  mov ecx, 20000
1:dec ecx
  jnz 1b
  mov ecx, 0x1b
  rdmsr
  or eax, 0xc00
  wrmsr
  mov ecx, 0x830
  xor edx, edx
  mov eax, 0x4640
  wrmsr
2:cli
  hlt
  jmp 2b
trampoline_end:
  .code64

# Each exit reason, provoked alone, with its information; then the same guest without what asks for the exit.

row "0 exception: #UD"
  put exceptionBitmap, "1 << 6"
  run "ud2"
  exits X_ExceptionOrNmi, interruption=0x80000306
  put exceptionBitmap, "~(1 << 6)"
  again
  guest_gets 6
row "0 exception: INT3, INT1 and INT n"
  put exceptionBitmap, -1
  run "int3"
  exits X_ExceptionOrNmi, length=1, interruption=0x80000603
  run ".byte 0xf1"
  exits X_ExceptionOrNmi, length=1, interruption=0x80000501
  # Software interrupts are no exceptions.
  run "int 3"
  exits X_ExceptionOrNmi, length=1, interruption=0x80000603
  run ".byte 0xcd, 6"
  guest_gets 6
  put exceptionBitmap, 0
  run "int3"
  guest_gets 3
row "0 exception: #PF by error code, CR2 untouched"
  put exceptionBitmap, "1 << 14"
  put pageFaultErrorCodeMask, 2
  put pageFaultErrorCodeMatch, 2
  poke "GUEST_TABLES + 0x6000 + 8", 0
  run "mov [rbx + 0x10], eax", "mov ebx, WINDOW + 0x1000"
  exits X_ExceptionOrNmi, qualification="WINDOW + 0x1010", interruption=0x80000b0e, error=2
  root "mov rax, cr2; mov [scratch], rax"
  peek scratch, 0
  run "mov eax, [rbx + 0x10]", "mov ebx, WINDOW + 0x1000"
  guest_gets 14, 0
  put exceptionBitmap, 0
  again
  exits X_ExceptionOrNmi, qualification="WINDOW + 0x1010", interruption=0x80000b0e, error=0
row "0 exception: #GP with its error code"
  put exceptionBitmap, "1 << 13"
  run "mov ds, eax", "mov eax, 0x1000"
  exits X_ExceptionOrNmi, interruption=0x80000b0d, error=0x1000
  put exceptionBitmap, 0
  again
  guest_gets 13, 0x1000
row "0 exception: #DE #NM #MF #XM #AC"
  put exceptionBitmap, "(1 << 0) | (1 << 7) | (1 << 16) | (1 << 17) | (1 << 19)"
  run "div ecx", "xor ecx, ecx"
  exits X_ExceptionOrNmi, interruption=0x80000300
  set guestCr0, CR0_TS
  run "fninit"
  exits X_ExceptionOrNmi, interruption=0x80000307
  clear guestCr0, CR0_TS
  run "fwait", "fninit; push 0; fldcw [rsp]; fld1; fldz; fdivp"
  exits X_ExceptionOrNmi, interruption=0x80000310
  set guestCr4, "1 << 10"
  run "divss xmm0, xmm0", "fnclex; fninit; push 0; ldmxcsr [rsp]; xorps xmm0, xmm0"
  exits X_ExceptionOrNmi, interruption=0x80000313
  put exceptionBitmap, 0
  again
  guest_gets 19
row "0 exception: #DB of a single step, of DR7.GD, of a data breakpoint"
  put exceptionBitmap, 2
  put guestRflags, 0x102
  run "nop", "nop"
  op OP_EXIT, X_ExceptionOrNmi, 0
  want exitQualification, 0x4000
  want exitInterruptionInformation, 0x80000301
  put guestRflags, 2
  put guestPendingDebugExceptions, 0
  set entryControls, Entry_LoadDebugControls
  put guestDr7, 0x2400
  run "mov rax, dr7"
  exits X_ExceptionOrNmi, qualification=0x2000, interruption=0x80000301
  put guestDr7, 0x10403
  root "mov eax, WINDOW; mov dr0, rax"
  run "mov byte ptr [rax], 1", "mov eax, WINDOW"
  exits X_ExceptionOrNmi, qualification=1, interruption=0x80000301, where=1
row "0 NMI"
  run "nop", "mov eax, LOCAL_APIC; mov dword ptr [rax + 0x300], 0x44400; l: nop; nop"
  exits X_ExceptionOrNmi, interruption=0x80000202, where=2
  want guestRip, l
row "0 NMI without NMI exiting is the guest's"
  clear pinBasedControls, "Pin_NmiExiting | Pin_VirtualNmis"
  run "nop", "mov eax, LOCAL_APIC; mov dword ptr [rax + 0x300], 0x44400; nop; nop"
  guest_gets 2
row "1 external interrupt, acknowledged"
  put guestRflags, 2
  run "nop", "mov eax, LOCAL_APIC; mov dword ptr [rax + 0x300], 0x44050; l1: nop; nop"
  exits X_ExternalInterrupt, interruption=0x80000050, where=2
  want guestRip, l1
row "1 external interrupt, left to the host"
  clear exitControls, Exit_AcknowledgeInterrupt
  run "nop", "mov eax, LOCAL_APIC; mov dword ptr [rax + 0x300], 0x44051; nop; nop"
  exits X_ExternalInterrupt, where=2
  root "sti; nop; nop; cli"
  raises 0x51
row "1 no exit without external-interrupt exiting"
  clear pinBasedControls, Pin_ExternalInterruptExiting
  clear exitControls, Exit_AcknowledgeInterrupt
  put guestRflags, 0x202
  run "nop", "mov eax, LOCAL_APIC; mov dword ptr [rax + 0x300], 0x44052; nop; nop"
  guest_gets 0x52
row "2 triple fault"
  put guestIdtrLimit, 0
  run "ud2"
  exits X_TripleFault
  put guestIdtrLimit, 0xfff
  again
  guest_gets 6
row "7 interrupt window"
  set primaryControls, Primary_InterruptWindowExiting
  run "nop", "sti; nop"
  exits X_InterruptWindow, where=0
  # Not while interrupts are off.
  put guestRflags, 2
  put guestInterruptibility, 0
  run "nop"
  passes
  clear primaryControls, Primary_InterruptWindowExiting
  put guestRflags, 0x202
  run "nop"
  passes
row "8 NMI window"
  set primaryControls, Primary_NmiWindowExiting
  run "nop"
  exits X_NmiWindow
  put guestInterruptibility, 8
  again
  passes
  # IRET ends the blocking.
  run "nop", "mov rax, rsp; push DATA_SELECTOR; push rax; push 2; push CODE_SELECTOR; push offset 1f; iretq; 1:"
  exits X_NmiWindow
  want guestInterruptibility, 0
  clear primaryControls, Primary_NmiWindowExiting
  again
  passes
row "9 task switch: JMP, CALL, IRET, task gate"
  clear entryControls, Entry_Ia32eGuest
  put guestCsAccessRights, 0xc09b
  put guestCsSelector, CODE32_SELECTOR
  .irp n, 0, 1, 2, 3
  put guestPdpte\n, "GUEST_TABLES + 0x2000 + \n * 0x1000 + 1"
  .endr
  run ".code32; .byte 0xea; .long 0; .word FREE_TSS_SELECTOR; .code64"
  exits X_TaskSwitch, length=7, qualification="(2 << 30) | FREE_TSS_SELECTOR"
  run ".code32; .byte 0x9a; .long 0; .word FREE_TSS_SELECTOR; .code64"
  exits X_TaskSwitch, length=7, qualification=FREE_TSS_SELECTOR
  poke "gdt + FREE_TSS_SELECTOR", 0x00008b0000000067
  root "mov word ptr [tss], FREE_TSS_SELECTOR"
  put guestRflags, 0x4002
  run "iretd"
  exits X_TaskSwitch, length=1, qualification="(1 << 30) | FREE_TSS_SELECTOR"
  put guestRflags, 2
  poke "gdt + FREE_TSS_SELECTOR", 0x0000890000000067
  # A table of one gate.
  put guestIdtrBase, PAGE
  poke "PAGE + 8 * 8", "(0x85 << 40) | (FREE_TSS_SELECTOR << 16)"
  run ".byte 0xcd, 8"
  exits X_TaskSwitch, length=2, qualification="(3 << 30) | FREE_TSS_SELECTOR", vectoring=0x80000408
  root "mov word ptr [tss], 0"
row "10 CPUID"
  run "cpuid"
  exits X_Cpuid, length=2
row "12 HLT"
  set primaryControls, Primary_HltExiting
  run "hlt"
  exits X_Hlt, length=1
  # Without: asleep, until an interrupt.
  clear primaryControls, Primary_HltExiting
  set pinBasedControls, Pin_PreemptionTimer
  put preemptionTimerValue, 10000
  run "hlt"
  op OP_EXIT, X_PreemptionTimerExpired, 1
  want guestActivity, 1
row "13 INVD"
  run "invd"
  exits X_Invd, length=2
row "14 INVLPG"
  set primaryControls, Primary_InvlpgExiting
  run "invlpg [rbx + rcx * 2 + 0x123]", "mov ebx, 0x10000; mov ecx, 0x1000"
  exits X_Invlpg, length=8, qualification=0x12123
  clear primaryControls, Primary_InvlpgExiting
  again
  passes
row "15 RDPMC"
  set primaryControls, Primary_RdpmcExiting
  run "rdpmc", "xor ecx, ecx"
  exits X_Rdpmc, length=2
  clear primaryControls, Primary_RdpmcExiting
  again
  guest_gets 13
row "16 RDTSC"
  set primaryControls, Primary_RdtscExiting
  run "rdtsc"
  exits X_Rdtsc, length=2
  clear primaryControls, Primary_RdtscExiting
  again
  passes
row "18 VMCALL, in ring 3, too"
  run "vmcall"
  exits X_Vmcall, length=3
  put guestCsSelector, "USER_CODE | 3"
  put guestCsAccessRights, 0xa0fb
  put guestSsSelector, "USER_DATA | 3"
  put guestSsAccessRights, 0xc0f3
  again
  exits X_Vmcall, length=3
row "19 VMCLEAR"
  run "vmclear [rbx + rcx * 4 + 0x40]"
  exits X_Vmclear, length=6, qualification=0x40, information=0x01858102
row "20 VMLAUNCH"
  run "vmlaunch"
  exits X_Vmlaunch, length=3
row "21 VMPTRLD"
  run "vmptrld gs:[r9]"
  exits X_Vmptrld, length=5, information=0x04c28100
row "22 VMPTRST"
  run "vmptrst [rsp - 8]"
  exits X_Vmptrst, length=5, qualification=-8, information=0x02410100
row "23 VMREAD: register, memory"
  run "vmread rdx, r9"
  exits X_Vmread, length=4, information=0x90000410
  run "vmread [rbp + 0x10], rsi"
  exits X_Vmread, length=4, qualification=0x10, information=0x62c10100
row "24 VMRESUME"
  run "vmresume"
  exits X_Vmresume, length=3
row "25 VMWRITE: register, memory"
  run "vmwrite rdx, r9"
  exits X_Vmwrite, length=4, information=0x20000448
  run "vmwrite rdi, [rbx]"
  exits X_Vmwrite, length=3, information=0x71c18100
row "26 VMXOFF"
  run "vmxoff"
  exits X_Vmxoff, length=3
row "27 VMXON"
  run "vmxon [rax + 1]"
  exits X_Vmxon, length=5, qualification=1, information=0x00418100
row "28 CR0: MOV of a bit of the host's"
  put cr0Mask, CR0_TS
  run "mov cr0, rbx", "mov rbx, cr0; or ebx, 8"
  exits X_CrAccess, length=3, qualification=0x300
  # As the read shadow has it: no exit, and no change.
  put cr0Shadow, CR0_TS
  again
  passes
  want guestCr0, 0, CR0_TS
  put cr0Mask, 0
  put cr0Shadow, 0
  again
  passes
  want guestCr0, CR0_TS, CR0_TS
row "28 CLTS and LMSW"
  put cr0Mask, CR0_TS
  put cr0Shadow, CR0_TS
  run "clts"
  exits X_CrAccess, length=2, qualification=0x20
  put cr0Shadow, 0
  again
  passes
  put cr0Mask, 0
  again
  passes
  put cr0Mask, CR0_TS
  run "lmsw bx", "mov ebx, 0xb"
  exits X_CrAccess, length=3, qualification=0xb0030
  run "lmsw [rsi + 4]", "mov esi, offset scratch; mov word ptr [rsi + 4], 0xf"
  exits X_CrAccess, length=4, qualification=0xf0070
  want guestLinearAddress, "scratch + 4"
  # LMSW can set PE, not clear it.
  run "lmsw bx", "mov ebx, 2"
  passes
row "28 MOV to CR3, and CR3-target values"
  set primaryControls, Primary_Cr3LoadExiting
  run "mov cr3, r9", "mov r9, cr3"
  exits X_CrAccess, length=4, qualification=0x903
  put cr3TargetCount, 4
  put cr3Target3, GUEST_TABLES
  again
  passes
  put cr3TargetCount, 3
  again
  exits X_CrAccess, length=4, qualification=0x903
  clear primaryControls, Primary_Cr3LoadExiting
  again
  passes
row "28 MOV from CR3"
  set primaryControls, Primary_Cr3StoreExiting
  run "mov rdi, cr3"
  exits X_CrAccess, length=3, qualification=0x713
  clear primaryControls, Primary_Cr3StoreExiting
  again
  passes
  register 7, GUEST_TABLES
row "28 CR4"
  put cr4Mask, CR4_DE
  run "mov cr4, rax", "mov rax, cr4; or eax, 8"
  exits X_CrAccess, length=3, qualification=4
  put cr4Mask, 0
  again
  passes
  want guestCr4, CR4_DE, CR4_DE
row "28 CR8 to and from"
  set primaryControls, "Primary_Cr8LoadExiting | Primary_Cr8StoreExiting"
  run "mov cr8, rcx"
  exits X_CrAccess, length=4, qualification=0x108
  run "mov rdx, cr8"
  exits X_CrAccess, length=4, qualification=0x218
  clear primaryControls, Primary_Cr8StoreExiting
  again
  passes
  clear primaryControls, Primary_Cr8LoadExiting
  run "mov cr8, rcx"
  passes
row "29 MOV DR"
  set primaryControls, Primary_MovDrExiting
  run "mov dr3, rbp"
  exits X_MovDr, length=3, qualification=0x503
  run "mov r8, dr6"
  exits X_MovDr, length=4, qualification=0x816
  clear primaryControls, Primary_MovDrExiting
  again
  passes
row "30 IN and OUT, unconditionally"
  set primaryControls, Primary_UnconditionalIoExiting
  run "in al, 0x71"
  exits X_IoInstruction, length=2, qualification=0x710048
  run "out dx, ax", "mov edx, 0x1234"
  exits X_IoInstruction, length=2, qualification=0x12340001
  run "in eax, dx", "mov edx, 0x80"
  exits X_IoInstruction, length=1, qualification="0x80000b & 0x7fffff | 0x800000"
  clear primaryControls, Primary_UnconditionalIoExiting
  run "in al, 0x71"
  passes
row "30 INS and OUTS"
  set primaryControls, Primary_UnconditionalIoExiting
  run "rep outsb", "mov edx, 0xe9; mov esi, WINDOW + 5; mov ecx, 2"
  exits X_IoInstruction, length=2, qualification=0xe90030, information=0x18100
  want guestLinearAddress, "WINDOW + 5"
  run "insd", "mov edx, 0x99; mov edi, WINDOW + 8"
  exits X_IoInstruction, length=1, qualification=0x99001b, information=0x00100
  want guestLinearAddress, "WINDOW + 8"
  clear primaryControls, Primary_UnconditionalIoExiting
  run "rep outsb", "mov edx, 0x99; mov esi, WINDOW + 5; mov ecx, 2"
  passes
row "30 I/O bitmaps"
  set primaryControls, Primary_IoBitmaps
  put ioBitmapA, IO_BITMAP_A
  put ioBitmapB, IO_BITMAP_B
  poke "IO_BITMAP_A + 0x70 / 8", 2
  poke "IO_BITMAP_B + 0x1008 / 8", 1
  run "in al, 0x71"
  exits X_IoInstruction, length=2, qualification=0x710048
  run "in al, 0x72"
  passes
  # An access that only ends on the port.
  run "in ax, 0x70"
  exits X_IoInstruction, length=3, qualification=0x700049
  run "out dx, al", "mov edx, 0x9008"
  exits X_IoInstruction, length=1, qualification=0x90080000
  run "out dx, al", "mov edx, 0x9009"
  passes
  # An access that wraps.
  run "in ax, dx", "mov edx, 0xffff"
  exits X_IoInstruction, length=2, qualification=0xffff0009
row "31 RDMSR by the bitmaps"
  poke "MSR_BITMAP + 0x174 / 8", "1 << (0x174 % 8)"
  run "rdmsr", "mov ecx, 0x174"
  exits X_Rdmsr, length=2
  poke "MSR_BITMAP + 0x174 / 8", 0
  again
  passes
  poke "MSR_BITMAP + 0x400 + 0x80 / 8", 1
  run "rdmsr", "mov ecx, MSR_EFER"
  exits X_Rdmsr, length=2
  poke "MSR_BITMAP + 0x400 + 0x80 / 8", 2
  again
  passes
  # Beyond both ranges.
  run "rdmsr", "mov ecx, 0x2000"
  exits X_Rdmsr, length=2
  clear primaryControls, Primary_MsrBitmaps
  run "rdmsr", "mov ecx, 0x10"
  exits X_Rdmsr, length=2
row "32 WRMSR by the bitmaps"
  poke "MSR_BITMAP + 0x800 + 0x174 / 8", "1 << (0x174 % 8)"
  run "wrmsr", "mov ecx, 0x174; xor edx, edx"
  exits X_Wrmsr, length=2
  poke "MSR_BITMAP + 0x800 + 0x174 / 8", 0
  again
  passes
  poke "MSR_BITMAP + 0xc00 + 0x100 / 8", "1 << 2"
  run "wrmsr", "mov ecx, 0xc0000102"
  exits X_Wrmsr, length=2
  poke "MSR_BITMAP + 0xc00 + 0x100 / 8", 0
  again
  passes
  run "wrmsr", "mov ecx, 0xc0002000"
  exits X_Wrmsr, length=2
row "36 MWAIT"
  set primaryControls, Primary_MwaitExiting
  run "mwait", "xor eax, eax; xor ecx, ecx"
  exits X_Mwait, length=3
  run "mwait", "mov eax, WINDOW; xor ecx, ecx; xor edx, edx; monitor; xor eax, eax"
  op OP_EXIT, X_Mwait, 0, 3
  clear primaryControls, Primary_MwaitExiting
  run "nop", "mov eax, WINDOW; xor ecx, ecx; xor edx, edx; monitor; mov dword ptr [rax], 1; xor eax, eax; mwait"
  passes
row "37 monitor trap flag"
  set primaryControls, Primary_MonitorTrapFlag
  run "nop"
  exits X_MonitorTrapFlag, where=1
  run "mov eax, 5"
  exits X_MonitorTrapFlag, where=1
  # Behind the delivery of an exception.
  run "ud2"
  exits X_MonitorTrapFlag, where=2
  want guestRip, "guest_handlers + 6 * 16"
  clear primaryControls, Primary_MonitorTrapFlag
  run "nop"
  passes
row "39 MONITOR"
  set primaryControls, Primary_MonitorExiting
  run "monitor", "mov eax, WINDOW; xor ecx, ecx"
  exits X_Monitor, length=3
  clear primaryControls, Primary_MonitorExiting
  again
  passes
row "40 PAUSE"
  set primaryControls, Primary_PauseExiting
  run "pause"
  exits X_Pause, length=2
  clear primaryControls, Primary_PauseExiting
  again
  passes
row "40 PAUSE loops"
  set secondaryControls, Secondary_PauseLoopExiting
  put pleGap, 1000
  put pleWindow, 3000
  run "pause", "l40: inc ecx; cmp ecx, 10000; je behind_l40; pause; jmp l40; behind_l40:"
  op OP_EXIT, X_Pause, 2, 2
  clear secondaryControls, Secondary_PauseLoopExiting
  run "pause"
  passes
# The operand size (bit 11) is undefined in 64-bit mode.
  .set OPERAND_SIZE, 0x800
row "46 descriptor tables: LGDT LIDT SGDT SIDT"
  set secondaryControls, Secondary_DescriptorTableExiting
  run "sgdt [rbx + 8]"
  op OP_EXIT, X_GdtrIdtrAccess, 0, 4
  want exitQualification, 8
  want exitInstructionInformation, 0x01c18100, ~OPERAND_SIZE
  run "sidt [rbx]"
  op OP_EXIT, X_GdtrIdtrAccess, 0, 3
  want exitInstructionInformation, 0x11c18100, ~OPERAND_SIZE
  run "lgdt [rbx]"
  op OP_EXIT, X_GdtrIdtrAccess, 0, 3
  want exitInstructionInformation, 0x21c18100, ~OPERAND_SIZE
  run "lidt [rbx]"
  op OP_EXIT, X_GdtrIdtrAccess, 0, 3
  want exitInstructionInformation, 0x31c18100, ~OPERAND_SIZE
  clear secondaryControls, Secondary_DescriptorTableExiting
  run "sgdt [rbx]", "mov ebx, offset scratch"
  passes
row "47 descriptor tables: LLDT LTR SLDT STR"
  set secondaryControls, Secondary_DescriptorTableExiting
  run "sldt cx"
  op OP_EXIT, X_LdtrTrAccess, 0, 4
  want exitInstructionInformation, 0x00000408, 0x30000478
  run "str [rbx]"
  exits X_LdtrTrAccess, length=3, information=0x11c18100
  run "lldt bx"
  op OP_EXIT, X_LdtrTrAccess, 0, 3
  want exitInstructionInformation, 0x20000418, 0x30000478
  run "ltr bx"
  op OP_EXIT, X_LdtrTrAccess, 0, 3
  want exitInstructionInformation, 0x30000418, 0x30000478
  clear secondaryControls, Secondary_DescriptorTableExiting
  run "sldt cx"
  passes
row "48 EPT violation: read, write, fetch"
  poke "EPT + 0x6000 + 8", "WINDOW + 0x1000 + 0x30"
  run "mov eax, [rbx + 0x18]", "mov ebx, WINDOW + 0x1000"
  exits X_EptViolation, qualification=0x781
  want guestLinearAddress, "WINDOW + 0x1018"
  want guestPhysicalAddress, "WINDOW + 0x1018"
  poke "EPT + 0x6000 + 8", "WINDOW + 0x1000 + 0x35"
  root "mov ecx, 2; invept rcx, [descriptor]"
  run "mov [rbx + 0x18], eax", "mov ebx, WINDOW + 0x1000"
  exits X_EptViolation, qualification=0x7aa
  poke "EPT + 0x6000 + 8", "WINDOW + 0x1000 + 0x33"
  root "mov ecx, 2; invept rcx, [descriptor]"
  run "jmp rbx", "mov ebx, WINDOW + 0x1000"
  exits X_EptViolation, qualification=0x79c, where=2
  want guestRip, "WINDOW + 0x1000"
  poke "EPT + 0x6000 + 8", "WINDOW + 0x1000 + 0x37"
  root "mov ecx, 2; invept rcx, [descriptor]"
  run "mov [rbx + 0x18], eax", "mov ebx, WINDOW + 0x1000"
  passes
row "48 EPT violation: a table of the guest"
  # The window's table lies in the window.
  poke "GUEST_TABLES + 0x2000 + (WINDOW >> 21) * 8", "WINDOW + 0x2000 + 0x67"
  poke "WINDOW + 0x2000", "WINDOW + 0x67"
  poke "EPT + 0x6000 + 16", "WINDOW + 0x2000 + 0x30"
  run "mov eax, [rbx + 0x18]", "mov ebx, WINDOW"
  exits X_EptViolation, qualification=0x81
  want guestLinearAddress, "WINDOW + 0x18"
  want guestPhysicalAddress, "WINDOW + 0x2000"
row "48 EPT violation while an event is delivered"
  poke "EPT + 0x6000 + 24", "WINDOW + 0x3000 + 0x30"
  run "int 0x41", "mov esp, WINDOW + 0x4000"
  exits X_EptViolation, length=2, qualification=0x782, vectoring=0x80000441
  run "ud2", "mov esp, WINDOW + 0x4000"
  exits X_EptViolation, qualification=0x782, vectoring=0x80000306
  run "mov ds, eax", "mov esp, WINDOW + 0x4000; mov eax, 0x1000"
  exits X_EptViolation, qualification=0x782, vectoring=0x80000b0d
  want idtVectoringErrorCode, 0x1000
row "48 without EPT there is no such exit"
  clear secondaryControls, Secondary_Ept
  poke "EPT + 0x6000 + 8", "WINDOW + 0x1000 + 0x30"
  run "mov eax, [rbx + 0x18]", "mov ebx, WINDOW + 0x1000"
  passes
row "49 EPT misconfiguration"
  .irp entry, 0x32, 0x36, 0x3f, 0x17, 0x200000000037
  poke "EPT + 0x6000 + 8", "WINDOW + 0x1000 + (\entry)"
  root "mov ecx, 2; invept rcx, [descriptor]"
  run "mov eax, [rbx + 0x18]", "mov ebx, WINDOW + 0x1000"
  op OP_EXIT, X_EptMisconfiguration, 0
  want guestPhysicalAddress, "WINDOW + 0x1018"
  .endr
  # Execute-only is none.
  poke "EPT + 0x6000 + 8", "WINDOW + 0x1000 + 0x34"
  root "mov ecx, 2; invept rcx, [descriptor]"
  run "mov eax, [rbx + 0x18]", "mov ebx, WINDOW + 0x1000"
  exits X_EptViolation, qualification=0x7a1
row "50 INVEPT"
  run "invept rdx, [rbx + 0x20]"
  exits X_Invept, length=6, qualification=0x20, information=0x21c18100
row "51 RDTSCP"
  set secondaryControls, Secondary_Rdtscp
  set primaryControls, Primary_RdtscExiting
  run "rdtscp"
  exits X_Rdtscp, length=3
  clear primaryControls, Primary_RdtscExiting
  again
  passes
  clear secondaryControls, Secondary_Rdtscp
  set primaryControls, Primary_RdtscExiting
  again
  guest_gets 6
row "52 VMX-preemption timer"
  set pinBasedControls, Pin_PreemptionTimer
  put preemptionTimerValue, 200
  run "l52: jmp l52"
  exits X_PreemptionTimerExpired
  put preemptionTimerValue, 0
  run "nop"
  exits X_PreemptionTimerExpired, where=2
  want guestRip, LAST_GUEST
  clear pinBasedControls, Pin_PreemptionTimer
  again
  passes
row "53 INVVPID"
  run "invvpid rdi, [rax]"
  exits X_Invvpid, length=5, information=0x70418100
row "54 WBINVD"
  set secondaryControls, Secondary_WbinvdExiting
  run "wbinvd"
  exits X_Wbinvd, length=2
  clear secondaryControls, Secondary_WbinvdExiting
  again
  passes
row "55 XSETBV"
  run "xsetbv", "xor ecx, ecx; mov eax, 1; xor edx, edx"
  exits X_Xsetbv, length=3
row "57 RDRAND"
  set secondaryControls, Secondary_RdrandExiting
  run "rdrand r9"
  exits X_Rdrand, length=4, information="(9 << 3) | (2 << 11)"
  run "rdrand cx"
  exits X_Rdrand, length=4, information="1 << 3"
  clear secondaryControls, Secondary_RdrandExiting
  again
  passes
row "58 INVPCID"
  set secondaryControls, Secondary_Invpcid
  set primaryControls, Primary_InvlpgExiting
  run "invpcid rsi, [rbx + 8]"
  exits X_Invpcid, length=6, qualification=8, information=0x61c18100
  clear primaryControls, Primary_InvlpgExiting
  run "invpcid rsi, [rbx]", "mov esi, 2; mov ebx, offset scratch"
  passes
  clear secondaryControls, Secondary_Invpcid
  set primaryControls, Primary_InvlpgExiting
  again
  guest_gets 6
row "59 VMFUNC"
  set secondaryControls, Secondary_VmFunctions
  put vmFunctionControls, 1
  put eptpListAddress, PAGE
  run "vmfunc", "mov eax, 1"
  exits X_Vmfunc, length=3
  # Entry 0 of the list is no EPTP.
  run "vmfunc", "xor eax, eax; xor ecx, ecx"
  exits X_Vmfunc, length=3
  poke PAGE, "OTHER_EPT + 0x1e"
  again
  passes
  put vmFunctionControls, 0
  again
  exits X_Vmfunc, length=3
  clear secondaryControls, Secondary_VmFunctions
  again
  guest_gets 6
row "61 RDSEED"
  set secondaryControls, Secondary_RdseedExiting
  run "rdseed edi"
  exits X_Rdseed, length=3, information="(7 << 3) | (1 << 11)"
  clear secondaryControls, Secondary_RdseedExiting
  again
  passes

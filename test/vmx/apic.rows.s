# APIC virtualisation: the virtual-APIC page, the APIC-access page at WINDOW + 4000H, x2APIC mode, virtual interrupts, posted interrupts.

  .set ACCESS, WINDOW + 0x4000
  .macro shadow
  set primaryControls, Primary_TprShadow
  put virtualApicAddress, VIRTUAL_APIC
  .endm
  .macro access_page
  shadow
  set secondaryControls, Secondary_ApicAccesses
  put apicAccessAddress, ACCESS
  .endm

row "TPR shadow: CR8 is VTPR"
  shadow
  run "mov r8, cr8", "mov eax, 6; mov cr8, rax"
  passes
  register 8, 6
  peek "VIRTUAL_APIC + 0x80", 0x60, 0xffffffff
row "43 TPR below threshold, behind MOV to CR8"
  shadow
  put tprThreshold, 3
  poke "VIRTUAL_APIC + 0x80", 0x50
  run "mov cr8, rax", "mov eax, 2"
  exits X_TprBelowThreshold, where=1
  poke "VIRTUAL_APIC + 0x80", 0x50
  run "mov cr8, rax", "mov eax, 3"
  passes
  # At the entry, when APIC accesses are virtualised.
  access_page
  poke "VIRTUAL_APIC + 0x80", 0x20
  run "nop"
  exits X_TprBelowThreshold
  put tprThreshold, 2
  again
  passes
row "44 APIC access: read, write, fetch, delivery"
  access_page
  run "mov eax, [rbx + 0x20]", "mov ebx, ACCESS"
  op OP_EXIT, X_ApicAccess, 0, -1
  want exitQualification, 0x20
  run "mov [rbx + 0xb0], eax", "mov ebx, ACCESS"
  op OP_EXIT, X_ApicAccess, 0, -1
  want exitQualification, 0x10b0
  run "jmp rbx", "mov ebx, ACCESS + 0x40"
  op OP_EXIT, X_ApicAccess, 2, -1
  want exitQualification, 0x2040
  run "int 0x41", "mov esp, ACCESS + 0x1000"
  op OP_EXIT, X_ApicAccess, 0, 2
  want exitQualification, 0x3ff8
  want idtVectoringInformation, 0x80000441
  clear secondaryControls, Secondary_ApicAccesses
  run "mov eax, [rbx + 0x20]", "mov ebx, ACCESS"
  passes
row "APIC accesses: VTPR by the page"
  access_page
  run "mov ecx, [rbx + 0x80]", "mov ebx, ACCESS; mov dword ptr [rbx + 0x80], 0x50"
  passes
  register 1, 0x50
  peek "VIRTUAL_APIC + 0x80", 0x50, 0xffffffff
  # Nothing reaches the page itself.
  peek "ACCESS + 0x80", 0
row "43 TPR below threshold, behind a write to the page"
  access_page
  put tprThreshold, 3
  poke "VIRTUAL_APIC + 0x80", 0x50
  run "mov dword ptr [rbx + 0x80], 0x10", "mov ebx, ACCESS"
  exits X_TprBelowThreshold, where=1
row "56 APIC write, with register virtualisation; reads do not exit"
  access_page
  set secondaryControls, Secondary_ApicRegisterVirtualization
  poke "VIRTUAL_APIC + 0x20", 0x700
  run "mov eax, [rbx + 0x20]", "mov ebx, ACCESS"
  passes
  register 0, 0x700
  run "mov dword ptr [rbx + 0xf0], 0x1ff", "mov ebx, ACCESS"
  exits X_ApicWrite, qualification=0xf0, where=1
  peek "VIRTUAL_APIC + 0xf0", 0x1ff, 0xffffffff
  # Offsets that are no registers exit as before.
  run "mov eax, [rbx + 0x3f0]", "mov ebx, ACCESS"
  op OP_EXIT, X_ApicAccess, 0, -1
  want exitQualification, 0x3f0
  clear secondaryControls, Secondary_ApicRegisterVirtualization
  run "mov dword ptr [rbx + 0xf0], 0x1ff", "mov ebx, ACCESS"
  op OP_EXIT, X_ApicAccess, 0, -1
  want exitQualification, 0x10f0
row "x2APIC mode: MSRs of the virtual-APIC page"
  shadow
  set secondaryControls, Secondary_X2apicMode
  run "rdmsr", "mov ecx, 0x808; mov eax, 0x30; xor edx, edx; wrmsr; xor eax, eax"
  passes
  register 0, 0x30
  peek "VIRTUAL_APIC + 0x80", 0x30, 0xffffffff
  # Without register virtualisation the others are those of the real APIC, which is no x2APIC.
  run "rdmsr", "mov ecx, 0x802"
  guest_gets 13
  set secondaryControls, Secondary_ApicRegisterVirtualization
  poke "VIRTUAL_APIC + 0x20", 0x9
  again
  passes
  register 0, 9
row "virtual interrupts: RVI at the entry, PPR, EOI"
  shadow
  set secondaryControls, "Secondary_VirtualInterruptDelivery | Secondary_X2apicMode"
  put guestInterruptStatus, 0x41
  put guestRflags, 0x202
  run "nop"
  guest_gets 0x41
  want guestInterruptStatus, 0x4100
  peek "VIRTUAL_APIC + 0x120", 2, 0xffffffff
  # EOI by the MSR: no exit, unless the bitmap says so.
  put guestRip, LAST_GUEST
  run "nop", "mov ecx, 0x80b; xor eax, eax; xor edx, edx; wrmsr"
  passes
  want guestInterruptStatus, 0
  peek "VIRTUAL_APIC + 0x120", 0, 0xffffffff
row "virtual interrupts wait for IF and for priority"
  shadow
  set secondaryControls, Secondary_VirtualInterruptDelivery
  put guestInterruptStatus, 0x41
  run "nop"
  passes
  poke "VIRTUAL_APIC + 0x80", 0x40
  put guestRflags, 0x202
  again
  passes
  # A TPR that comes down lets it in.
  run "nop", "xor eax, eax; mov cr8, rax"
  guest_gets 0x41
row "virtual interrupts: a self-IPI by ICR"
  access_page
  set secondaryControls, Secondary_VirtualInterruptDelivery
  put guestRflags, 0x202
  run "nop", "mov ebx, ACCESS; mov dword ptr [rbx + 0x300], 0x40041; nop"
  guest_gets 0x41
  want guestInterruptStatus, 0x4100
row "45 virtualised EOI"
  access_page
  set secondaryControls, Secondary_VirtualInterruptDelivery
  put guestInterruptStatus, 0x4100
  poke "VIRTUAL_APIC + 0x120", 2
  put eoiExitBitmap1, 2
  run "mov dword ptr [rbx + 0xb0], 0", "mov ebx, ACCESS"
  exits X_VirtualizedEoi, qualification=0x41, where=1
  put guestInterruptStatus, 0x4100
  poke "VIRTUAL_APIC + 0x120", 2
  put eoiExitBitmap1, 0
  again
  passes
# Posted interrupts: the descriptor asks for 41H, the notification is a real interrupt of the local APIC.
  .macro posted
  shadow
  set secondaryControls, "Secondary_VirtualInterruptDelivery | Secondary_X2apicMode"
  set pinBasedControls, Pin_ProcessPostedInterrupts
  put postedInterruptDescriptorAddress, DESCRIPTOR
  put postedInterruptNotificationVector, 0xf2
  poke "DESCRIPTOR + 8", 2
  poke "DESCRIPTOR + 32", 1
  .endm
row "posted interrupts: no exit, the guest gets it"
  posted
  put guestRflags, 0x202
  run "nop", "mov eax, LOCAL_APIC; mov dword ptr [rax + 0x300], 0x440f2; nop; nop"
  guest_gets 0x41
  want guestInterruptStatus, 0x4100
  # Outstanding is clear, the request has moved.
  peek "DESCRIPTOR + 8", 0
  peek "DESCRIPTOR + 32", 0, 1
row "posted interrupts: they wait for IF"
  posted
  run "nop", "mov eax, LOCAL_APIC; mov dword ptr [rax + 0x300], 0x440f2; nop; nop"
  passes
  want guestInterruptStatus, 0x41
row "posted interrupts wake a guest that halts"
  posted
  put guestRflags, 0x202
  put guestActivity, 1
  root "mov eax, LOCAL_APIC; mov dword ptr [rax + 0x300], 0x440f2"
  run "nop"
  guest_gets 0x41
row "posted interrupts: other vectors exit"
  posted
  put guestRflags, 0x202
  run "nop", "mov eax, LOCAL_APIC; mov dword ptr [rax + 0x300], 0x440f1; nop; nop"
  exits X_ExternalInterrupt, interruption=0x800000f1, where=2
  clear pinBasedControls, Pin_ProcessPostedInterrupts
  run "nop", "mov eax, LOCAL_APIC; mov dword ptr [rax + 0xb0], 0; mov dword ptr [rax + 0x300], 0x440f2; nop; nop"
  exits X_ExternalInterrupt, interruption=0x800000f2, where=2
# IPI virtualization: virtual APIC ID 0 has the descriptor of posted interrupts, 1 the one behind it; both name this processor and vector F2H.
  .set TARGET, DESCRIPTOR + 0x40
  .macro ipis
  shadow
  set primaryControls, Primary_TertiaryControls
  set tertiaryControls, Tertiary_IpiVirtualization
  put pidPointerTableAddress, PAGE
  put lastPidPointerIndex, 2
  poke PAGE, "DESCRIPTOR + 1"
  poke "PAGE + 8", "TARGET + 1"
  poke "PAGE + 16", TARGET
  poke "DESCRIPTOR + 32", 0xf20000
  poke "TARGET + 32", 0xf20000
  .endm
  .macro ends_interrupt
  root "mov eax, LOCAL_APIC; mov dword ptr [rax + 0xb0], 0"
  .endm
row "IPI virtualization: a request in the descriptor, a notification to its processor"
  ipis
  set secondaryControls, Secondary_X2apicMode
  run "nop", "mov ecx, 0x830; mov eax, 0x41; mov edx, 1; wrmsr; nop; nop"
  exits X_ExternalInterrupt, interruption=0x800000f2, where=2
  peek "VIRTUAL_APIC + 0x300", 0x100000041
  peek "TARGET + 8", 2
  peek "TARGET + 32", 0xf20001
  # The other descriptor is left alone.
  peek "DESCRIPTOR + 8", 0
  peek "DESCRIPTOR + 32", 0xf20000
  # With an outstanding notification, or with suppressed ones, there is none.
  ends_interrupt
  poke "TARGET + 8", 0
  again
  passes
  peek "TARGET + 8", 2
  poke "TARGET + 32", 0xf20002
  again
  passes
  peek "TARGET + 32", 0xf20002
row "IPI virtualization: to oneself, through posted interrupts"
  posted
  ipis
  poke "DESCRIPTOR + 8", 0
  put guestRflags, 0x202
  run "nop", "mov ecx, 0x830; mov eax, 0x41; xor edx, edx; wrmsr; nop; nop"
  guest_gets 0x41
  want guestInterruptStatus, 0x4100
  peek "DESCRIPTOR + 8", 0
  peek "DESCRIPTOR + 32", 0xf20000
row "IPI virtualization by the APIC-access page"
  access_page
  ipis
  run "nop", "mov ebx, ACCESS; mov dword ptr [rbx + 0x310], 0x1000000; mov dword ptr [rbx + 0x300], 0x61; nop; nop"
  exits X_ExternalInterrupt, interruption=0x800000f2, where=2
  peek "VIRTUAL_APIC + 0x310", 0x1000000, 0xffffffff
  peek "TARGET + 8", 0x200000000
  peek "TARGET + 32", 0xf20001
  # Reads are as without.
  run "mov eax, [rbx + 0x300]", "mov ebx, ACCESS"
  op OP_EXIT, X_ApicAccess, 0, -1
  want exitQualification, 0x300
row "56 APIC write: IPIs that cannot be virtualised"
  ipis
  set secondaryControls, Secondary_X2apicMode
  # A pointer that is not valid, one with a reserved bit, one that is too wide.
  run "wrmsr", "mov ecx, 0x830; mov eax, 0x41; mov edx, 2"
  exits X_ApicWrite, qualification=0x300, where=1
  peek "VIRTUAL_APIC + 0x300", 0x200000041
  poke "PAGE + 16", "TARGET + 3"
  again
  exits X_ApicWrite, qualification=0x300, where=1
  poke "PAGE + 16", "0x8000000000 + TARGET + 1"
  again
  exits X_ApicWrite, qualification=0x300, where=1
  # No entry; a vector below 16; to all; to a logical ID; an NMI.
  run "wrmsr", "mov ecx, 0x830; mov eax, 0x41; mov edx, 3"
  exits X_ApicWrite, qualification=0x300, where=1
  run "wrmsr", "mov ecx, 0x830; mov eax, 0xf; mov edx, 1"
  exits X_ApicWrite, qualification=0x300, where=1
  run "wrmsr", "mov ecx, 0x830; mov eax, 0x80041; mov edx, 1"
  exits X_ApicWrite, qualification=0x300, where=1
  run "wrmsr", "mov ecx, 0x830; mov eax, 0x841; mov edx, 1"
  exits X_ApicWrite, qualification=0x300, where=1
  run "wrmsr", "mov ecx, 0x830; mov eax, 0x441; mov edx, 1"
  exits X_ApicWrite, qualification=0x300, where=1
  peek "TARGET + 8", 0
  peek "TARGET + 32", 0xf20000
  # Reserved bits are a fault; without the control the MSR is that of the real APIC, which is no x2APIC.
  run "wrmsr", "mov ecx, 0x830; mov eax, 0x2041; mov edx, 1"
  guest_gets 13
  clear primaryControls, Primary_TertiaryControls
  run "wrmsr", "mov ecx, 0x830; mov eax, 0x41; mov edx, 1"
  guest_gets 13
row "56 APIC write: IPIs of the APIC-access page"
  access_page
  ipis
  run "mov dword ptr [rbx + 0x300], 0x41", "mov ebx, ACCESS; mov dword ptr [rbx + 0x310], 0x2000000"
  exits X_ApicWrite, qualification=0x300, where=1
  run "mov dword ptr [rbx + 0x300], 0x40041", "mov ebx, ACCESS"
  exits X_ApicWrite, qualification=0x300, where=1
  clear primaryControls, Primary_TertiaryControls
  run "mov dword ptr [rbx + 0x300], 0x41", "mov ebx, ACCESS"
  op OP_EXIT, X_ApicAccess, 0, -1
  want exitQualification, 0x1300

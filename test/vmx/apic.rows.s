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

# What random guests and random root code are made of: one fragment a line, of any length, where it stands does not matter.
# General registers hold what the scenario has put there: pointers, encodings, numbers.
cpuid
hlt
invd
wbinvd
pause
rdtsc
rdtscp
rdpmc
rdmsr
wrmsr
mov ecx, 0x174; rdmsr
mov ecx, 0x174; wrmsr
mov ecx, 0xc0000080; rdmsr
mov ecx, 0xc0000082; wrmsr
mov ecx, 0xc0000102; rdmsr; wrmsr
mov ecx, 0x277; rdmsr
mov ecx, 0x10; rdmsr
mov ecx, 0x808; mov eax, 0x30; xor edx, edx; wrmsr
mov ecx, 0x80b; xor eax, eax; xor edx, edx; wrmsr
mov ecx, 0x830; mov eax, 0x45; xor edx, edx; wrmsr
mov ecx, 0x83f; mov eax, 0x45; xor edx, edx; wrmsr
mov ecx, 0x480; rdmsr
mov ecx, 0x1d9; xor eax, eax; xor edx, edx; wrmsr
xgetbv
xsetbv
in al, 0x71
in eax, dx
out 0x80, al
out dx, ax
insb
mov ecx, 40; rep insd
outsb
mov ecx, 40; rep outsw
mov rax, cr0; mov cr0, rax
mov rax, cr0; xor eax, 8; mov cr0, rax
mov rax, cr0; xor eax, 0x10000; mov cr0, rax
mov rax, cr0; btr eax, 31; mov cr0, rax
clts
smsw eax; lmsw ax
lmsw word ptr [rbx]
mov rax, cr3; mov cr3, rax
mov rax, cr4; mov cr4, rax
mov rax, cr4; xor eax, 0x80; mov cr4, rax
mov rax, cr4; xor eax, 4; mov cr4, rax
mov eax, 5; mov cr8, rax
mov rax, cr8
mov cr8, rcx
mov rax, dr0; mov dr0, rbx
mov rax, dr7; mov dr7, rax
mov eax, 0x30403; mov dr7, rax
invlpg [rbx]
invlpg [rsi]
invpcid rcx, [rbx]
mov ecx, 2; invpcid rcx, [rsi]
lgdt [rsi]
sgdt [rbx]
sidt [rbx]
sldt eax
str eax
lldt cx
ltr cx
monitor
mwait
xor eax, eax; xor ecx, ecx; mwait
sti
sti; nop; nop; cli
sti; hlt
cli
push 0x202; popfq
push 0x102; popfq
push 0x40202; popfq
pushfq; pop rax
mov eax, ss; mov ss, eax
mov eax, 0x18; mov ss, eax; cpuid
mov ds, ecx
mov eax, 0x18; mov fs, eax; mov gs, eax
swapgs
int3
int 0x41
int 0x80
ud2
.byte 0xf1
div ecx
fninit; fld1; fldz; fdivp; fwait
divss xmm0, xmm1
rdrand eax
rdrand r9
rdseed rax
rdseed cx
xsave [rbx]
xsaves [rbx]
xrstors [rsi]
fxsave [rbx]
syscall
sysenter
vmcall
vmlaunch
vmresume
vmxoff
vmxon [rbx]
vmxon [rsi + 8]
vmclear [rbx]
vmclear [rsi]
vmptrld [rbx]
vmptrld [rsi]
vmptrst [rbx]
vmptrst [rsi]
vmread rdx, rcx
vmread [rbx], rcx
vmwrite rcx, rdx
vmwrite rcx, [rsi]
vmwrite r9, r8
invept rcx, [rbx]
mov ecx, 2; invept rcx, [rsi]
mov ecx, 1; invept rcx, [rsi]
invvpid rcx, [rbx]
mov ecx, 2; invvpid rcx, [rsi]
mov ecx, 1; invvpid rcx, [rsi]
xor ecx, ecx; invvpid rcx, [rsi]
vmfunc
xor eax, eax; xor ecx, ecx; vmfunc
xor eax, eax; mov ecx, 1; vmfunc
mov eax, [rbx]; mov [rbx + 8], eax
mov eax, [rsi]; mov [rsi + 8], eax
mov [rdi], rax; mov rax, [rdi + 0x80]
lock xadd [rdi], rax
cmpxchg16b [rbx]
mov ecx, 40; rep movsb
mov ecx, 40; rep stosq
mov ecx, 0x10010; rep movsb
mov ecx, 0x20008; rep stosb
mov ecx, 0x500000; rep lodsb
mov ecx, 0x20010; repe scasb
mov ecx, 0x10004; std; repe cmpsb; cld
sti; mov ecx, 0x30000; rep lodsw
mov esi, 0xd0000000; mov ecx, 0x10020; rep lodsd
mov rcx, -1; rep lodsq
push rax; pop rcx
mov eax, 0xfee00000; mov dword ptr [rax + 0x300], 0x40041
mov eax, 0xfee00000; mov dword ptr [rax + 0x300], 0x44400
mov eax, 0xfee00000; mov dword ptr [rax + 0x300], 0x440f2
mov eax, 0xfee00000; mov dword ptr [rax + 0xb0], 0
mov eax, 0xfee00000; mov dword ptr [rax + 0x80], 0x20
mov eax, 0xfee00000; mov eax, [rax + 0x20]
mov eax, 0xfee00000; mov dword ptr [rax + 0x320], 0x50; mov dword ptr [rax + 0x380], 250
mov eax, 0xfee00000; mov dword ptr [rax + 0x320], 0x20050; mov dword ptr [rax + 0x380], 150
mov eax, 0xfee00000; mov dword ptr [rax + 0x320], 0x40050; rdtsc; add eax, 900; mov ecx, 0x6e0; wrmsr
mov eax, 0x34; out 0x43, al; mov eax, 2; out 0x40, al; xor eax, eax; out 0x40, al
mov eax, 0xb2; out 0x43, al; mov eax, 1; out 0x61, al; out 0x42, al; in al, 0x61
cli; hlt
mov rax, rsp; push 0x18; push rax; push 0x202; push 0x10; lea rax, [rip + 9f]; push rax; iretq; 9:
mov rax, rsp; push 0x2b; push rax; push 0x202; push 0x33; lea rax, [rip + 9f]; push rax; iretq; 9:
push 0x10; lea rax, [rip + 9f]; push rax; retfq; 9:
push 0x50; lea rax, [rip + 9f]; push rax; retfq; 9:

/* Offsets shared by the assembly files and checked against the C structures in entry.c. */
#ifndef LIBDUNE_ASM_H
#define LIBDUNE_ASM_H

/* struct dune_tf */
#define TF_RDI 0
#define TF_RSI 8
#define TF_RDX 16
#define TF_RCX 24
#define TF_R8 32
#define TF_R9 40
#define TF_R10 48
#define TF_R11 56
#define TF_RBX 64
#define TF_RBP 72
#define TF_R12 80
#define TF_R13 88
#define TF_R14 96
#define TF_R15 104
#define TF_RAX 112
#define TF_ERR 120
#define TF_RIP 128
#define TF_CS 136
#define TF_RFLAGS 144
#define TF_RSP 152
#define TF_SS 160
#define TF_SIZE 168

/* struct dune_percpu, at the GS base */
#define PERCPU_TMP 8
#define PERCPU_KFS_BASE 16
#define PERCPU_UFS_BASE 24
#define PERCPU_IN_USERMODE 32
#define PERCPU_TRAP_STACK 44
#define PERCPU_SYSCALL_ENTRY 216

/* struct dune_config */
#define CONF_RAX 8
#define CONF_RBX 16
#define CONF_RCX 24
#define CONF_RDX 32
#define CONF_RSI 40
#define CONF_RDI 48
#define CONF_RSP 56
#define CONF_RBP 64
#define CONF_R8 72
#define CONF_R9 80
#define CONF_R10 88
#define CONF_R11 96
#define CONF_R12 104
#define CONF_R13 112
#define CONF_R14 120
#define CONF_R15 128
#define CONF_RIP 136
#define CONF_RFLAGS 144

#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101

#define RFLAGS_IF 0x200

#endif

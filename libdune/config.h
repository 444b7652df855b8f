/* What crosses /dev/dune. Packed, 64-bit fields unless said. */
#ifndef LIBDUNE_CONFIG_H
#define LIBDUNE_CONFIG_H

#include <stdint.h>
#include <sys/ioctl.h>

struct dune_config {
	int64_t ret;
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags, cr3;
	int64_t status;
	uint64_t vcpu;
} __attribute__((packed));

struct dune_layout {
	uint64_t phys_limit;
	uint64_t base_map;
	uint64_t base_stack;
} __attribute__((packed));

struct dune_trap_regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags;
} __attribute__((packed));

struct dune_trap_config {
	uint64_t trigger_rip;
	uint64_t notify_func;
	struct dune_trap_regs *regs;
	uint64_t regs_size;
	void *priv;
	uint8_t delay;
} __attribute__((packed));

#define DUNE_MINOR 233
#define DUNE_ENTER _IOR(DUNE_MINOR, 0x01, struct dune_config)
#define DUNE_GET_SYSCALL _IO(DUNE_MINOR, 0x02)
#define DUNE_GET_LAYOUT _IOW(DUNE_MINOR, 0x03, struct dune_layout)
#define DUNE_TRAP_ENABLE _IOR(DUNE_MINOR, 0x04, struct dune_trap_config)
#define DUNE_TRAP_DISABLE _IO(DUNE_MINOR, 0x05)

/* Why ENTER returned. */
#define DUNE_RET_EXIT 1
#define DUNE_RET_EPT_VIOLATION 2
#define DUNE_RET_INTERRUPT 3
#define DUNE_RET_SIGNAL 4
#define DUNE_RET_UNHANDLED_VMEXIT 5
#define DUNE_RET_NOENTER 6

#endif

/* Starting Dune mode, and the Linux-mode side of it: the loop around ioctl(DUNE_ENTER). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "asm.h"
#include "local.h"

#define CHECK_OFFSET(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field)
_Static_assert(sizeof(struct dune_config) == 176, "struct dune_config");
_Static_assert(sizeof(struct dune_trap_config) == 41, "struct dune_trap_config");
_Static_assert(sizeof(struct dune_trap_regs) == 144, "struct dune_trap_regs");
_Static_assert(sizeof(struct dune_tf) == TF_SIZE, "struct dune_tf");
_Static_assert(sizeof(struct dune_tss) == 104, "struct dune_tss");
CHECK_OFFSET(struct dune_config, rsp, CONF_RSP);
CHECK_OFFSET(struct dune_config, r15, CONF_R15);
CHECK_OFFSET(struct dune_config, rip, CONF_RIP);
CHECK_OFFSET(struct dune_config, rflags, CONF_RFLAGS);
CHECK_OFFSET(struct dune_config, cr3, 0x98);
CHECK_OFFSET(struct dune_config, status, 0xa0);
CHECK_OFFSET(struct dune_config, vcpu, 0xa8);
CHECK_OFFSET(struct dune_tf, r15, TF_R15);
CHECK_OFFSET(struct dune_tf, rax, TF_RAX);
CHECK_OFFSET(struct dune_tf, err, TF_ERR);
CHECK_OFFSET(struct dune_tf, cs, TF_CS);
CHECK_OFFSET(struct dune_tf, ss, TF_SS);
CHECK_OFFSET(struct dune_percpu, tmp, PERCPU_TMP);
CHECK_OFFSET(struct dune_percpu, kfs_base, PERCPU_KFS_BASE);
CHECK_OFFSET(struct dune_percpu, ufs_base, PERCPU_UFS_BASE);
CHECK_OFFSET(struct dune_percpu, in_usermode, PERCPU_IN_USERMODE);
CHECK_OFFSET(struct dune_percpu, tss.rsp, PERCPU_TRAP_STACK);
CHECK_OFFSET(struct dune_percpu, gdt, 144);
CHECK_OFFSET(struct dune_percpu, syscall_entry, PERCPU_SYSCALL_ENTRY);

/* asm/prctl.h, which not every C library comes with. */
#define ARCH_GET_FS 0x1003

/* The guest's GPA space must hold the identity window besides the other two. */
#define MIN_PHYS_BITS 37

#define IST_COUNT 7
#define INTERRUPT_STACK_BYTES (2 * PGSIZE)
#define SAFE_STACK_BYTES ((IST_COUNT + 1) * INTERRUPT_STACK_BYTES)
/* Signal handlers and exit handlers run here. */
#define HOST_STACK_BYTES (256 * 1024)

int dune_fd = -1;
uintptr_t phys_limit, mmap_base, stack_base;

static __thread struct dune_percpu *lpercpu;
static pthread_mutex_t tables_lock = PTHREAD_MUTEX_INITIALIZER;

/* ------------------------------------------------------------------------------------------------ address space */

static bool reachable(uintptr_t va)
{
	if (va >= stack_base)
		return va < stack_base + GPA_STACK_SIZE;
	if (va >= mmap_base)
		return va < mmap_base + GPA_MAP_SIZE;
	return va < phys_limit - GPA_STACK_SIZE - GPA_MAP_SIZE;
}

static int map_own(uintptr_t va, size_t len, int perm)
{
	return dune_vm_map_phys(pgroot, (void *)va, len, (void *)dune_va_to_pa((void *)va), perm);
}

static int map_vsyscall(void)
{
	struct page *page = dune_page_alloc();

	if (!page)
		return -ENOMEM;
	memcpy((void *)dune_page2pa(page), __dune_vsyscall_page, PGSIZE);
	return dune_vm_map_phys(pgroot, (void *)VSYSCALL_ADDR, PGSIZE, (void *)dune_page2pa(page),
				PERM_R | PERM_X | PERM_U);
}

/* The areas that Linux put there for everyone: the same in both modes of mapping. */
static int map_special(const struct dune_procmap_entry *entry, void *arg)
{
	(void)arg;
	if (!reachable(entry->begin))
		return 0;
	if (entry->type == PROCMAP_TYPE_VDSO)
		return map_own(entry->begin, entry->end - entry->begin, PERM_R | PERM_X | PERM_U);
	if (entry->type == PROCMAP_TYPE_VVAR)
		return map_own(entry->begin, entry->end - entry->begin, PERM_R | PERM_U);
	return 0;
}

static int map_listed(const struct dune_procmap_entry *entry, void *arg)
{
	int perm = (entry->r ? PERM_R : 0) | (entry->w ? PERM_W : 0) | (entry->x ? PERM_X : 0);

	if (entry->type == PROCMAP_TYPE_VSYSCALL || entry->type == PROCMAP_TYPE_VDSO || entry->type == PROCMAP_TYPE_VVAR)
		return map_special(entry, arg);
	if ((entry->begin >= PAGEBASE && entry->begin < PAGEBASE_END) || !perm || !reachable(entry->begin))
		return 0;
	return map_own(entry->begin, entry->end - entry->begin, perm);
}

static int map_full_space(void)
{
	int perm = PERM_R | PERM_W | PERM_X | PERM_U;
	int error = map_own(0, 4UL << 30, perm);

	if (!error)
		error = dune_vm_map_phys(pgroot, (void *)mmap_base, GPA_MAP_SIZE,
					 (void *)dune_mmap_addr_to_pa((void *)mmap_base), perm);
	/* After the other: without address-space randomisation the two overlap, and the stack window wins. */
	if (!error)
		error = map_own(stack_base, GPA_STACK_SIZE, perm);
	return error ? error : dune_procmap_each(map_special, NULL);
}

static int setup_mappings(bool full)
{
	int error = dune_vm_init();

	if (!error)
		error = dune_vm_map_phys(pgroot, (void *)PAGEBASE, MAX_PAGES * PGSIZE, (void *)PAGEBASE, PERM_R | PERM_W);
	if (!error)
		error = full ? map_full_space() : dune_procmap_each(map_listed, NULL);
	return error ? error : map_vsyscall();
}

/* Puts the stub where SYSCALL goes: the address in the host's LSTAR register, which the guest shares. */
static int setup_syscall(void)
{
	size_t len = __dune_syscall_end - __dune_syscall;
	uintptr_t lstar = dune_raw_syscall(SYS_ioctl, dune_fd, DUNE_GET_SYSCALL, 0);
	uintptr_t offset = lstar & PGMASK, at;
	struct page *page;
	int error;

	if ((intptr_t)lstar >= 0)
		return -EIO;
	for (at = PGADDR(lstar); at < lstar + len; at += PGSIZE) {
		size_t skip = at < lstar ? offset : 0, done = at < lstar ? 0 : at - lstar;
		size_t part = PGSIZE - skip < len - done ? PGSIZE - skip : len - done;

		page = dune_page_alloc();
		if (!page)
			return -ENOMEM;
		memcpy((char *)dune_page2pa(page) + skip, __dune_syscall + done, part);
		error = dune_vm_map_phys(pgroot, (void *)at, PGSIZE, (void *)dune_page2pa(page), PERM_R | PERM_X);
		if (error)
			return error;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ start-up */

/* Linux cannot deliver these to a process in Dune mode in a way it would expect, so nobody gets them unless he asks.
 * Faults stay fatal. */
static void setup_signals(void)
{
	static const int keep[] = {SIGTSTP, SIGSTOP, SIGKILL, SIGCHLD, SIGINT, SIGTERM, SIGSEGV,
				   SIGBUS,  SIGILL,  SIGFPE,  SIGTRAP, SIGABRT};
	struct sigaction action;
	int sig;
	size_t i;

	for (sig = 1; sig < 32; sig++) {
		for (i = 0; i < sizeof(keep) / sizeof(keep[0]) && keep[i] != sig; i++)
			;
		if (i < sizeof(keep) / sizeof(keep[0]) || sigaction(sig, NULL, &action) || action.sa_handler != SIG_DFL)
			continue;
		action.sa_handler = SIG_IGN;
		sigaction(sig, &action, NULL);
	}
}

static int check_windows(void)
{
	uintptr_t here = (uintptr_t)&__dune_intr;

	if (phys_limit < 1UL << MIN_PHYS_BITS) {
		fprintf(stderr,
			"dune: this CPU has %d physical-address bits; the windows need %d (nothing would be left for the low "
			"addresses of the program)\n",
			__builtin_ctzl(phys_limit), MIN_PHYS_BITS);
		return -EINVAL;
	}
	if (!reachable(here)) {
		fprintf(stderr,
			"dune: the program lies at %#lx, outside of what a Dune guest can address: it is position independent; "
			"link it with -static -no-pie\n",
			here);
		return -EINVAL;
	}
	return 0;
}

static int step(const char *what, int error)
{
	if (error)
		fprintf(stderr, "dune: %s: %s\n", what, strerror(-error));
	return error;
}

int dune_init(bool map_full)
{
	struct dune_layout layout;
	int error;

	if (dune_fd >= 0)
		return 0;
	dune_fd = open("/dev/dune", O_RDWR | O_CLOEXEC);
	if (dune_fd < 0)
		return step("cannot open /dev/dune (is the module there?)", -errno);
	error = step("GET_LAYOUT", dune_raw_syscall(SYS_ioctl, dune_fd, DUNE_GET_LAYOUT, (long)&layout));
	if (!error) {
		phys_limit = layout.phys_limit;
		mmap_base = layout.base_map;
		stack_base = layout.base_stack;
		error = check_windows();
	}
	if (!error)
		error = step("page pool", dune_page_init());
	if (!error)
		error = step("page tables", setup_mappings(map_full));
	if (!error)
		error = step("system-call page", setup_syscall());
	if (!error)
		error = step("APIC table", dune_apic_init());
	if (error) {
		close(dune_fd);
		dune_fd = -1;
		return error;
	}
	setup_signals();
	dune_trap_init();
	return 0;
}

/* ------------------------------------------------------------------------------------------------ per thread */

static uint64_t fs_base(void)
{
	uint64_t base = 0;

	dune_raw_syscall(SYS_arch_prctl, ARCH_GET_FS, (long)&base, 0);
	return base;
}

static void *new_area(size_t bytes)
{
	void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		return NULL;
	if (map_own((uintptr_t)area, bytes, PERM_R | PERM_W)) {
		munmap(area, bytes);
		return NULL;
	}
	return area;
}

static void setup_gdt(struct dune_percpu *percpu)
{
	uint64_t tss = (uint64_t)&percpu->tss;

	memset(percpu->gdt, 0, sizeof(percpu->gdt));
	percpu->gdt[GD_KT >> 3] = 0x00af9b000000ffffUL;
	percpu->gdt[GD_KD >> 3] = 0x00af93000000ffffUL;
	percpu->gdt[GD_UD >> 3] = 0x00aff3000000ffffUL;
	percpu->gdt[GD_UT >> 3] = 0x00affb000000ffffUL;
	percpu->gdt[GD_TSS >> 3] = (tss & 0xffffff) << 16 | (tss & 0xff000000) << 32 | 0x890000000000UL |
				   (sizeof(struct dune_tss) - 1);
	percpu->gdt[(GD_TSS >> 3) + 1] = tss >> 32;
}

/* Also for a forked child, whose copy still says what its parent was doing. */
static int prepare_percpu(struct dune_percpu *percpu)
{
	int i;

	if (!percpu->safe_stack) {
		void *host = mmap(NULL, HOST_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (host == MAP_FAILED)
			return -ENOMEM;
		percpu->safe_stack = (uint64_t)new_area(SAFE_STACK_BYTES);
		if (!percpu->safe_stack) {
			munmap(host, HOST_STACK_BYTES);
			return -ENOMEM;
		}
		percpu->host_stack = (uint64_t)host + HOST_STACK_BYTES;
	}
	percpu->percpu_ptr = (uint64_t)percpu;
	percpu->kfs_base = fs_base();
	percpu->ufs_base = percpu->kfs_base;
	percpu->in_usermode = 0;
	percpu->syscall_entry = (uint64_t)dune_syscall_entry;
	percpu->tss.iomap_base = sizeof(struct dune_tss);
	for (i = 1; i <= IST_COUNT; i++)
		percpu->tss.ist[i] = percpu->safe_stack + i * INTERRUPT_STACK_BYTES;
	percpu->tss.rsp[0] = percpu->safe_stack + SAFE_STACK_BYTES;
	setup_gdt(percpu);
	return 0;
}

/* The stack in use belongs to ring 0. */
static int map_stack(const struct dune_procmap_entry *entry, void *arg)
{
	uintptr_t at = (uintptr_t)arg;

	if (at < entry->begin || at >= entry->end)
		return 0;
	if (!reachable(entry->begin) || !reachable(entry->end - 1))
		return -EFAULT;
	return map_own(entry->begin, entry->end - entry->begin, PERM_R | PERM_W);
}

static int enter(struct dune_percpu *percpu)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr = {sizeof(percpu->gdt) - 1, (uint64_t)percpu->gdt};
	struct dune_config *conf;
	int error;

	lpercpu = percpu;
	pthread_mutex_lock(&tables_lock);
	error = prepare_percpu(percpu);
	if (!error)
		error = dune_procmap_each(map_stack, __builtin_frame_address(0));
	pthread_mutex_unlock(&tables_lock);
	if (error)
		return error;
	conf = calloc(1, sizeof(*conf));
	if (!conf)
		return -ENOMEM;
	conf->cr3 = (uint64_t)pgroot;
	error = __dune_enter(conf, (void *)percpu->host_stack);
	if (error) {
		free(conf);
		return error;
	}
	__dune_boot(&gdtr, dune_idt_descriptor(), percpu);
	return 0;
}

int dune_enter_ex(void *percpu)
{
	return enter(percpu);
}

int dune_enter(void)
{
	struct dune_percpu *percpu = lpercpu;

	if (dune_in_ring0())
		return 0;
	if (!percpu) {
		pthread_mutex_lock(&tables_lock);
		percpu = new_area(PGSIZE);
		pthread_mutex_unlock(&tables_lock);
		if (!percpu)
			return -ENOMEM;
	}
	return enter(percpu);
}

/* ------------------------------------------------------------------------------------------------ Linux-mode side */

/* What the notify function of a bounce needs: where to go on. */
struct bounce {
	struct dune_config *conf;
	void *stack;
};

/* A breakpoint or single-step exit: go on at the same place in Linux mode, where a debugger sees the SIGTRAP, and come
 * back when the thread is about to run there again. */
static void bounce(struct dune_config *conf)
{
	static __thread struct dune_trap_regs regs;
	static __thread struct bounce back;
	struct dune_trap_config trap = {
		.trigger_rip = conf->rip,
		.notify_func = (uint64_t)__dune_trap_notify,
		.regs = &regs,
		.regs_size = sizeof(regs),
		.priv = &back,
		.delay = 0,
	};

	back.conf = conf;
	back.stack = (void *)lpercpu->host_stack;
	if (dune_raw_syscall(SYS_ioctl, dune_fd, DUNE_TRAP_ENABLE, (long)&trap) == 0)
		__dune_go_linux(conf);
}

static void on_dune_exit(struct dune_config *conf)
{
	switch (conf->ret) {
	case DUNE_RET_EXIT:
		/* The module leaves the system-call number in RAX: exit_group ends the other threads too. */
		dune_raw_syscall(conf->rax == SYS_exit_group ? SYS_exit_group : SYS_exit, conf->status, 0, 0);
		break;
	case DUNE_RET_SIGNAL:
		return;
	case DUNE_RET_EPT_VIOLATION:
		fprintf(stderr, "dune: exit due to EPT violation\n");
		break;
	case DUNE_RET_INTERRUPT:
		bounce(conf);
		fprintf(stderr, "dune: exit due to interrupt %ld\n", (long)conf->status);
		break;
	case DUNE_RET_UNHANDLED_VMEXIT:
		fprintf(stderr, "dune: exit due to unhandled VM exit\n");
		break;
	case DUNE_RET_NOENTER:
		fprintf(stderr, "dune: re-entry to Dune mode failed, status %ld\n", (long)conf->status);
		break;
	default:
		fprintf(stderr, "dune: unknown exit from Dune mode, ret %ld, status %ld\n", (long)conf->ret, (long)conf->status);
		break;
	}
	exit(EXIT_FAILURE);
}

/* Returns only when the first entry fails. */
long dune_host_loop(struct dune_config *conf)
{
	for (;;) {
		long result = dune_raw_syscall(SYS_ioctl, dune_fd, DUNE_ENTER, (long)conf);

		if (result < 0 && !conf->vcpu) {
			fprintf(stderr, "dune: entry to Dune mode failed: %s\n", strerror(-result));
			return -EIO;
		}
		if (result < 0) {
			conf->ret = DUNE_RET_NOENTER;
			conf->status = result;
		}
		on_dune_exit(conf);
	}
}

void dune_host_resume(struct dune_trap_regs *regs, struct dune_config *conf)
{
	memcpy(&conf->rax, regs, offsetof(struct dune_trap_regs, r8) + 8 * sizeof(uint64_t));
	conf->rip = regs->rip;
	conf->rflags = regs->rflags;
	dune_host_loop(conf);
	exit(EXIT_FAILURE);
}

/*
 * What libdune offers beside the examples: precise mapping with pages added on demand, a percpu block of the caller's, ELF
 * images run in ring 3, vector state kept over ring 3, clones that give back what they took, signals set up in Dune mode.
 * Each part is a process of its own. Arguments: the image for ring 3.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libdune/dune.h"
#include "libdune/elf.h"
#include "libdune/fpu.h"

static const char *image;

#define CHECK(condition) check(#condition, condition, __LINE__)
static void check(const char *what, int good, int line)
{
	if (good)
		return;
	printf("FAILED in line %d: %s\n", line, what);
	exit(1);
}

static void part(const char *name, void (*body)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		body();
		exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		printf("%s: status %x\n", name, status);
	else
		printf("%s: good\n", name);
}

/* ---------------------------------------------------------------------------------------------- precise mapping */

static int demanded, refused;

static void on_demand(uintptr_t address, uint64_t code, struct dune_tf *frame)
{
	void *page = (void *)PGADDR(address);

	if (address < PGSIZE || (code & FEC_P)) {
		refused++;
		frame->rip += 2; /* movb %al, (%rcx) */
		return;
	}
	demanded++;
	CHECK(!dune_vm_map_phys(pgroot, page, PGSIZE, (void *)dune_va_to_pa(page), PERM_R | PERM_W));
}

static void write_to(uintptr_t address)
{
	__asm__ __volatile__("movb %%al, (%%rcx)" : : "a"(1), "c"(address) : "memory");
}

static void precise(void)
{
	char *area;
	int i;

	CHECK(!dune_init(false));
	CHECK(!dune_enter());
	dune_register_pgflt_handler(on_demand);
	area = mmap(NULL, 64 * PGSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < 64; i++)
		area[i * PGSIZE] = i;
	CHECK(demanded == 64);
	area = malloc(8 << 20);
	memset(area, 7, 8 << 20);
	__asm__ __volatile__("" : : "r"(area) : "memory");
	CHECK(demanded >= 64 + 2048);
	write_to(8);
	CHECK(refused == 1);
	write_to((uintptr_t)precise);
	CHECK(refused == 2);
	write_to((uintptr_t)"a constant");
	CHECK(refused == 3);
}

/* ---------------------------------------------------------------------------------------------- percpu block */

static void enter_ex(void)
{
	struct dune_percpu *percpu = mmap(NULL, PGSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at_gs;

	CHECK(!dune_init(true));
	CHECK(!dune_enter_ex(percpu));
	__asm__ __volatile__("movq %%gs:0, %0" : "=r"(at_gs));
	CHECK(at_gs == (uint64_t)percpu && percpu->kfs_base && !percpu->in_usermode);
}

/* ---------------------------------------------------------------------------------------------- ring 3 */

static char stack[4 * PGSIZE] __attribute__((aligned(4096)));

static void on_syscall(struct dune_tf *frame)
{
	if (frame->rax == SYS_exit)
		dune_ret_from_user(ARG0(frame));
	dune_passthrough_syscall(frame);
}

static int run(uintptr_t entry)
{
	struct dune_tf frame;

	memset(&frame, 0, sizeof(frame));
	dune_register_syscall_handler(on_syscall);
	frame.rip = entry;
	frame.rsp = (uint64_t)stack + sizeof(stack) - 8;
	frame.rflags = 2;
	return dune_jump_to_user(&frame);
}

static int segments, sections;
static int load(struct dune_elf *elf, Elf64_Phdr *phdr)
{
	segments += phdr->p_type == PT_LOAD;
	return phdr->p_type == PT_LOAD ? dune_elf_load_ph(elf, phdr, 0) : 0;
}
static int count(struct dune_elf *elf, const char *name, int number, Elf64_Shdr *shdr)
{
	(void)elf;
	(void)number;
	sections += !strcmp(name, ".text") && shdr->sh_type == SHT_PROGBITS;
	return !strcmp(name, ".text") ? 9 : 0;
}

static void run_elf(struct dune_elf *elf)
{
	segments = sections = 0;
	CHECK(!dune_elf_iter_ph(elf, load));
	CHECK(segments >= 2);
	CHECK(dune_elf_iter_sh(elf, count) == 9 && sections == 1);
	CHECK(run(elf->hdr.e_entry) == 33);
	CHECK(!dune_elf_close(elf));
}

static void elf(void)
{
	static char bytes[1 << 16];
	struct dune_elf elf;
	int fd, length;

	CHECK(!dune_init_and_enter());
	CHECK(!dune_elf_open(&elf, image));
	run_elf(&elf);
	fd = open(image, O_RDONLY);
	length = read(fd, bytes, sizeof(bytes));
	CHECK(!dune_elf_open_mem(&elf, bytes, length));
	run_elf(&elf);
	CHECK(dune_elf_open(&elf, "/no such file") == -ENOENT);
	CHECK(dune_elf_open_mem(&elf, bytes, 20) == -EIO);
	bytes[EI_CLASS] = ELFCLASS32;
	CHECK(dune_elf_open_mem(&elf, bytes, length) == -EINVAL);
}

static void clobber(void)
{
	__asm__ __volatile__("pxor %%xmm5, %%xmm5\n fninit\n fld1\n syscall" : : "a"(SYS_exit), "D"(0));
	__builtin_unreachable();
}

static void fpu(void)
{
	static struct fpu_area area, fresh;
	uint64_t got, pattern = 0x123456789abcdef0;
	double real = 0;

	CHECK(!dune_init_and_enter());
	dune_fpu_init(&fresh);
	__asm__ __volatile__("movq %0, %%xmm5\n fldpi" : : "r"(pattern));
	dune_fpu_save_safe(&area);
	CHECK(run((uintptr_t)clobber) == 0);
	__asm__ __volatile__("movq %%xmm5, %0" : "=r"(got));
	CHECK(got == 0);
	dune_fpu_load(&area);
	__asm__ __volatile__("movq %%xmm5, %0\n fstpl %1" : "=r"(got), "=m"(real));
	CHECK(got == pattern && real > 3.14 && real < 3.15);
	dune_fpu_save(&area);
	dune_fpu_load(&fresh);
	__asm__ __volatile__("movq %%xmm5, %0" : "=r"(got));
	CHECK(got == 0);
}

/* ---------------------------------------------------------------------------------------------- clones, signals */

static void clones(void)
{
	size_t before = 0;
	int i;

	CHECK(!dune_init_and_enter());
	for (i = 0; i < 30; i++) {
		ptent_t *copy = dune_vm_clone(pgroot);

		CHECK(copy != NULL);
		load_cr3((unsigned long)copy);
		CHECK(!dune_vm_map_pages(copy, (void *)0x600000000000, PGSIZE, PERM_R | PERM_W));
		*(volatile int *)0x600000000000 = i;
		load_cr3((unsigned long)pgroot);
		dune_vm_unmap(copy, (void *)0x600000000000, PGSIZE);
		dune_vm_free(copy);
		if (i == 0)
			before = num_pages;
	}
	CHECK(num_pages == before);
}

static volatile int handled;
static void on_signal(int sig)
{
	uint16_t cs;

	__asm__ __volatile__("mov %%cs, %0" : "=r"(cs));
	handled = sig * 100 + (cs & 3);
}

static void signals(void)
{
	struct itimerval timer = {.it_value = {.tv_usec = 1000}};
	struct timespec sleep = {.tv_nsec = 5000000}, left = {0};

	CHECK(!dune_init_and_enter());
	CHECK(dune_signal(SIGUSR1, on_signal) == SIG_IGN);
	CHECK(dune_signal(SIGUSR1, on_signal) == on_signal);
	kill(getpid(), SIGUSR1);
	CHECK(handled == SIGUSR1 * 100 + 3);
	/* A system call that a signal interrupts is made again: the guest never sees EINTR. */
	dune_signal(SIGALRM, on_signal);
	setitimer(ITIMER_REAL, &timer, NULL);
	CHECK(!nanosleep(&sleep, &left));
	CHECK(handled == SIGALRM * 100 + 3);
	CHECK(dune_signal(SIGKILL, on_signal) == SIG_ERR);
}

int main(int argc, char **argv)
{
	image = argc > 1 ? argv[1] : "";
	part("precise mapping", precise);
	part("dune_enter_ex", enter_ex);
	part("ELF images in ring 3", elf);
	part("vector state", fpu);
	part("clones", clones);
	part("signals", signals);
	return 0;
}

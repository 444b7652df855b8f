/*
 * The ioctls of /dev/dune by hand: numbers, return codes, what is written back, handles, and the state a guest starts with.
 * Prints one line a check; raw.expected.txt is what it prints.
 */
#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "guest.h"

int device;
static uint64_t *root;
static struct config config;
static char stack[4 * PAGE] __attribute__((aligned(4096)));
uint64_t seen[16];

/* ---------------------------------------------------------------------------------------------- guest code */

#define GUEST(name, code) \
	void name(void); \
	__asm__(".text\n.globl " #name "\n" #name ":\n" code "\n")

#define EXIT "movl $60, %eax\n vmcall\n"

GUEST(guest_exit, "movq $0x1111, %rbx\n movq $0x1212, %r12\n movl $42, %edi\n movl $231, %eax\n vmcall\n guest_after_exit:\n nop\n movl $7, %edi\n" EXIT);
extern char guest_after_exit[];
GUEST(guest_breakpoint, "movl $0x5555, %esi\n guest_int3:\n int3\n movl $3, %edi\n" EXIT);
extern char guest_int3[];
GUEST(guest_rdmsr, "movl $0xc0000080, %ecx\n rdmsr\n");
GUEST(guest_wrmsr, "movl $0xc0000082, %ecx\n xorl %eax, %eax\n xorl %edx, %edx\n wrmsr\n guest_after_wrmsr:\n nop\n");
extern char guest_after_wrmsr[];
GUEST(guest_debug_register, "movq %dr7, %rax\n");
GUEST(guest_wbinvd, "wbinvd\n");
GUEST(guest_ud, "ud2\n");
GUEST(guest_outside, "movq $0x8000, %rax\n movq (%rax), %rbx\n");
GUEST(guest_spin, "1: incq %rbx\n jmp 1b\n");
/* System-call numbers in rbx; results go to seen[0]. */
GUEST(guest_syscall, "movq %rbx, %rax\n movq $0xcccc, %rcx\n movq $0x1111, %r11\n vmcall\n movq %rax, seen\n movq %rcx, seen+8\n movq %r11, seen+16\n xorl %edi, %edi\n" EXIT);
GUEST(guest_state,
      "movq %cr0, %rax\n movq %rax, seen\n movq %cr4, %rax\n movq %rax, seen+8\n movl %cs, %eax\n movq %rax, seen+16\n"
      "movl %ss, %eax\n movq %rax, seen+24\n movq %fs:0, %rax\n movq %rax, seen+32\n movl $0xc0000101, %ecx\n rdmsr\n movq %rax, seen+40\n"
      "pushfq\n popq seen+48\n sidt seen+56\n str %eax\n movq %rax, seen+72\n xorl %edi, %edi\n" EXIT);
GUEST(guest_fork, "movl $57, %eax\n vmcall\n movq %rax, %rbx\n testq %rax, %rax\n jz guest_child\n movl $0, %edi\n" EXIT
		  "guest_child:\n movl %cs, %edi\n andl $3, %edi\n addl $20, %edi\n movl $60, %eax\n syscall\n");

/* ENTER from inside a guest: another vCPU, on the same thread. */
GUEST(guest_nested, "movl device, %edi\n movl $0x80b0e901, %esi\n leaq inner, %rdx\n movl $16, %eax\n vmcall\n movq %rax, seen\n"
		    "movq inner, %rax\n movq %rax, seen+8\n movl $5, %edi\n" EXIT);
/* arch_prctl: GET_FS, SET_FS, RDMSR of FS_BASE, GET_FS, and SET_FS back. */
GUEST(guest_fs, "movl $0x1003, %edi\n leaq seen, %rsi\n movl $158, %eax\n vmcall\n movl $0x1002, %edi\n movl $0x123000, %esi\n movl $158, %eax\n vmcall\n"
		"movl $0xc0000100, %ecx\n rdmsr\n movl %eax, seen+8\n movl %edx, seen+12\n"
		"movl $0x1003, %edi\n leaq seen+16, %rsi\n movl $158, %eax\n vmcall\n"
		"movl $0x1002, %edi\n movq seen, %rsi\n movl $158, %eax\n vmcall\n xorl %edi, %edi\n" EXIT);

/* ---------------------------------------------------------------------------------------------- host side */

struct config inner;

static void prepare(void (*code)(void))
{
	memset(&config, 0, sizeof(config));
	config.rip = (uint64_t)code;
	config.rsp = (uint64_t)stack + sizeof(stack) - 8;
	config.rflags = 2;
	config.cr3 = (uint64_t)root;
}

static long enter(void)
{
	return raw(SYS_ioctl, device, ENTER, (long)&config);
}

static void run(const char *name, void (*code)(void))
{
	long result;

	prepare(code);
	result = enter();
	printf("%s: result %ld ret %ld status %ld\n", name, result, (long)config.ret, (long)config.status);
}

static void numbers(void)
{
	struct layout layout;
	long lstar = raw(SYS_ioctl, device, GET_SYSCALL, 0);

	printf("GET_SYSCALL survives int: %d\n", (long)(int)lstar == lstar && (lstar < -4095 || lstar >= 0));
	printf("GET_LAYOUT: %ld\n", raw(SYS_ioctl, device, GET_LAYOUT, (long)&layout));
	printf("  phys_limit %#lx base_map %%1G %ld base_stack %%1G %ld\n", layout.phys_limit, layout.base_map % GB,
	       layout.base_stack % GB);
	printf("  a local variable is in the stack window: %d\n",
	       (uint64_t)&layout >= layout.base_stack && (uint64_t)&layout < layout.base_stack + GB);
	printf("GET_LAYOUT to a bad address: %ld\n", raw(SYS_ioctl, device, GET_LAYOUT, 8));
	printf("unknown: %ld, ENTER of 2012: %ld, of 2013: %ld, of 2015: %ld\n", raw(SYS_ioctl, device, 0xe9ff, 0),
	       raw(SYS_ioctl, device, 0x8018e901, (long)&config), raw(SYS_ioctl, device, 0x8020e901, (long)&config),
	       raw(SYS_ioctl, device, 0x80a8e901, (long)&config));
	printf("ENTER with a bad address: %ld\n", raw(SYS_ioctl, device, ENTER, 8));
	prepare(guest_exit);
	config.vcpu = 0xffff880012345000;
	printf("ENTER with a kernel address for a handle: %ld\n", enter());
	printf("TRAP_DISABLE: %ld, TRAP_ENABLE with a bad address: %ld\n", raw(SYS_ioctl, device, TRAP_DISABLE, 0),
	       raw(SYS_ioctl, device, TRAP_ENABLE, 8));
	printf("read: %ld, write: %ld\n", raw(SYS_read, device, (long)&layout, 8), raw(SYS_write, device, (long)&layout, 8));
}

static void write_back(void)
{
	uint64_t handle;

	run("exit_group(42)", guest_exit);
	printf("  rbx %lx r12 %lx rax %lu rdi %lu, rip behind the VMCALL: %d, cr3 as given: %d, handle: %d\n", config.rbx,
	       config.r12, config.rax, config.rdi, config.rip == (uint64_t)guest_after_exit, config.cr3 == (uint64_t)root,
	       config.vcpu != 0);
	handle = config.vcpu;
	printf("again: result %ld", enter());
	printf(" ret %ld status %ld, same handle: %d\n", (long)config.ret, (long)config.status, config.vcpu == handle);

	run("int3", guest_breakpoint);
	printf("  rsi %lx, rip at the INT3: %d\n", config.rsi, config.rip == (uint64_t)guest_int3);
	config.rip++;
	printf("  behind it: result %ld", enter());
	printf(" ret %ld status %ld\n", (long)config.ret, (long)config.status);
}

static void stops(void)
{
	run("rdmsr", guest_rdmsr);
	printf("  rip at it: %d\n", config.rip == (uint64_t)guest_rdmsr + 5);
	run("wrmsr", guest_wrmsr);
	printf("  rip behind it: %d\n", config.rip == (uint64_t)guest_after_wrmsr);
	run("mov dr7", guest_debug_register);
	run("wbinvd", guest_wbinvd);
	run("ud2 without IDT", guest_ud);
	run("read of an address Linux has not", guest_outside);
}

static void calls(void)
{
	static const int unusual[] = {SYS_getpid, 131, 172, 15, 312, 435, 9999};
	size_t i;

	for (i = 0; i < sizeof(unusual) / sizeof(unusual[0]); i++) {
		prepare(guest_syscall);
		config.rbx = unusual[i];
		if (enter() || config.ret != 1)
			die("a system call by VMCALL");
		if (unusual[i] == SYS_getpid)
			printf("getpid: right %d, rcx and r11 kept: %d\n", seen[0] == (uint64_t)getpid(),
			       seen[1] == 0xcccc && seen[2] == 0x1111);
		else if (unusual[i] == 312)
			printf("312: an error %d\n", (long)seen[0] < 0);
		else
			printf("%d: %ld\n", unusual[i], (long)seen[0]);
	}
}

static void state(void)
{
	uint64_t tls;

	__asm__("movq %%fs:0, %0" : "=r"(tls));
	run("state", guest_state);
	printf("  cr0 %lx cr4 without PCIDE, FSGSBASE, OSXSAVE %lx cs %lx ss %lx\n", seen[0], seen[1] & ~0x70000UL, seen[2],
	       seen[3]);
	printf("  TLS of the thread: %d, GS base %lx, rflags %lx, IDT limit %x, TR %lx\n", seen[4] == tls, seen[5],
	       seen[6] & ~0x8d5UL, *(uint16_t *)&seen[7], seen[9]);
}

struct trap {
	uint64_t trigger, notify, regs, size, priv;
	uint8_t delay;
} __attribute__((packed));

/* The trigger is the way back of the TRAP_ENABLE call itself. */
long enable_trap(int fd, unsigned long request, struct trap *trap);
extern char trap_trigger[], trap_notify[];
__asm__(".text\n.globl enable_trap\nenable_trap:\n push %rbx\n movq $0x7777, %rbx\n movl $16, %eax\n syscall\n"
	".globl trap_trigger\ntrap_trigger:\n pop %rbx\n ret\n"
	".globl trap_notify\ntrap_notify:\n movq %rdi, seen\n movq %rsi, seen+8\n movq %rsp, seen+16\n movq 48(%rdi), %rsp\n pop %rbx\n movl $1, %eax\n ret\n");

static void traps(void)
{
	static uint64_t regs[18];
	struct trap trap = {(uint64_t)trap_trigger, (uint64_t)trap_notify, (uint64_t)regs, sizeof(regs), 0xabcd, 0};

	trap.size--;
	printf("TRAP_ENABLE with a wrong size: %ld\n", enable_trap(device, TRAP_ENABLE, &trap));
	trap.size++;
	printf("TRAP_ENABLE: notified %ld,", enable_trap(device, TRAP_ENABLE, &trap));
	printf(" arguments %d %d, below the red zone %d, registers %d %d\n", seen[0] == (uint64_t)regs, seen[1] == 0xabcd,
	       seen[2] == regs[6] - 128, regs[1] == 0x7777, regs[16] == (uint64_t)trap_trigger);
}

static void on_alarm(int sig)
{
	(void)sig;
	seen[0]++;
}

static void signals(void)
{
	struct itimerval timer = {.it_value = {.tv_usec = 1000}};
	struct sigaction action = {.sa_handler = on_alarm};

	seen[0] = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	run("signal", guest_spin);
	printf("  handler ran %lu time, the guest had counted: %d\n", seen[0], config.rbx > 0);
	close(device);
	printf("ENTER after close: %ld\n", enter());
	device = open("/dev/dune", O_RDWR);
	printf("ENTER with a handle of the closed file: %ld\n", enter());
}

static void nested(void)
{
	static char inner_stack[PAGE] __attribute__((aligned(4096)));

	prepare(guest_exit);
	inner = config;
	inner.rsp = (uint64_t)inner_stack + sizeof(inner_stack) - 8;
	run("ENTER from inside a guest", guest_nested);
	printf("  inner result %ld ret %ld status %ld, own handle: %d\n", seen[0], seen[1], (long)inner.status,
	       inner.vcpu && inner.vcpu != config.vcpu);
	run("again, by the handle", guest_nested);
	printf("  inner result %ld ret %ld status %ld\n", seen[0], seen[1], (long)inner.status);
}

static void host_fs(void)
{
	uint64_t tls;

	__asm__("movq %%fs:0, %0" : "=r"(tls));
	run("arch_prctl", guest_fs);
	printf("  GET_FS is the thread's: %d, SET_FS changes it: %d, and not the guest's: %d\n", seen[0] == tls,
	       seen[2] == 0x123000, seen[1] == tls);
}

static void forks(void)
{
	int status;
	long pid;

	fflush(stdout);
	prepare(guest_fork);
	if (enter() || config.ret != 1)
		die("fork by VMCALL");
	pid = config.rbx;
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	printf("child of a guest starts behind the VMCALL in ring %d\n", WEXITSTATUS(status) - 20);
}

int main(void)
{
	uint64_t va;

	device = open("/dev/dune", O_RDWR);
	if (device < 0)
		die("open of /dev/dune");
	root = new_table();
	for (va = 0; va < 16 * GB; va += GB)
		*slot(root, va, 2) = va | PTE_P | PTE_W | PTE_U | PTE_PS;
	numbers();
	{
		/* TLS and the heap may be outside of the low 16 GB. */
		struct layout layout;

		raw(SYS_ioctl, device, GET_LAYOUT, (long)&layout);
		for (va = 0; va < 63 * GB; va += GB)
			*slot(root, layout.base_map + va, 2) = (layout.phys_limit - 64 * GB + va) | PTE_P | PTE_W | PTE_U | PTE_PS;
		*slot(root, layout.base_stack, 2) = (layout.phys_limit - GB) | PTE_P | PTE_W | PTE_U | PTE_PS;
	}
	write_back();
	stops();
	calls();
	state();
	nested();
	host_fs();
	forks();
	traps();
	signals();
	return 0;
}

/*
 * Two threads in Dune mode on two CPUs that wait for each other, take page faults and EPT violations, fork, get signals,
 * enter a guest within the guest, and read standard input: something to take snapshots of at every point.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libdune/config.h"
#include "libdune/dune.h"

#define ROUNDS 12

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn, faults, alarms;
static char *area;

static void on_page_fault(uintptr_t address, uint64_t code, struct dune_tf *frame)
{
	(void)code;
	(void)frame;
	__atomic_fetch_add(&faults, 1, __ATOMIC_RELAXED);
	dune_vm_mprotect(pgroot, (void *)PGADDR(address), PGSIZE, PERM_R | PERM_W);
}

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* Touches new memory, which the EPT does not have yet, and a page that the guest has protected. */
static void work(int round, int who)
{
	char *mine = area + (2 * round + who) * 2 * PGSIZE;

	mine[0] = round;
	dune_vm_mprotect(pgroot, mine + PGSIZE, PGSIZE, PERM_R);
	mine[PGSIZE] += mine[0];
}

static void play(int who)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		pthread_mutex_lock(&lock);
		while (turn != who)
			pthread_cond_wait(&changed, &lock);
		work(round, who);
		turn = !who;
		pthread_cond_signal(&changed);
		pthread_mutex_unlock(&lock);
	}
}

static void *other(void *unused)
{
	if (dune_enter())
		exit(3);
	play(1);
	return unused;
}

void inner_guest(void);
__asm__("inner_guest:\n movl $9, %edi\n movl $60, %eax\n vmcall\n");

static int enter_within(void)
{
	static char stack[PGSIZE];
	static struct dune_config config;

	memset(&config, 0, sizeof(config));
	config.rip = (uint64_t)inner_guest;
	config.rsp = (uint64_t)stack + sizeof(stack) - 8;
	config.rflags = 2;
	config.cr3 = (uint64_t)pgroot;
	ioctl(dune_fd, DUNE_ENTER, &config);
	return config.ret == DUNE_RET_EXIT ? config.status : -1;
}

int main(void)
{
	struct itimerval timer = {.it_interval = {.tv_usec = 20}, .it_value = {.tv_usec = 20}};
	char line[64] = "";
	pthread_t thread;
	int status;
	pid_t pid;

	area = mmap(NULL, ROUNDS * 4 * PGSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (dune_init_and_enter())
		return 1;
	dune_register_pgflt_handler(on_page_fault);
	dune_signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &timer, NULL);
	pthread_create(&thread, NULL, other, NULL);
	play(0);
	pthread_join(thread, NULL);
	pid = fork();
	if (pid == 0) {
		if (dune_enter())
			_exit(4);
		work(0, 0);
		_exit(5);
	}
	waitpid(pid, &status, 0);
	printf("%d faults, signals %d, child %d, inner guest %d\n", faults, alarms > 0, WEXITSTATUS(status), enter_within());
	fflush(stdout);
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
	if (read(0, line, sizeof(line) - 1) > 0)
		printf("read %s", line);
	return 0;
}

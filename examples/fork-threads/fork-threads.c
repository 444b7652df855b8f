/*
 * fork-threads: who is in Dune mode.
 *
 * A child of fork and a new thread begin in Linux mode; each enters Dune mode for itself. The child has its own copy of the
 * page tables, the threads share them.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libdune/dune.h"

#define THREADS 3

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int faults;
static volatile char page[PGSIZE] __attribute__((aligned(4096)));

static int ring(void)
{
	uint16_t cs;

	__asm__ __volatile__("mov %%cs, %0" : "=r"(cs));
	return cs & 3;
}

static void page_fault(uintptr_t address, uint64_t error_code, struct dune_tf *frame)
{
	(void)error_code;
	(void)frame;
	faults++;
	dune_vm_mprotect(pgroot, (void *)PGADDR(address), PGSIZE, PERM_R | PERM_W);
}

static void *thread(void *argument)
{
	long before = ring(), *result = argument;

	if (dune_enter())
		return NULL;
	pthread_mutex_lock(&lock);
	*result = 10 * before + ring();
	pthread_mutex_unlock(&lock);
	return NULL;
}

static int child(void)
{
	int before = ring();

	if (dune_enter())
		return EXIT_FAILURE;
	dune_vm_mprotect(pgroot, (void *)page, PGSIZE, PERM_R);
	page[0] = 'c';
	printf("child: ring %d, then ring %d; %d page fault of its own\n", before, ring(), faults);
	fflush(stdout);
	return page[0] == 'c' ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(void)
{
	pthread_t threads[THREADS];
	long rings[THREADS] = {0};
	int i, status;
	pid_t pid;

	if (dune_init_and_enter())
		return EXIT_FAILURE;
	dune_register_pgflt_handler(page_fault);
	page[0] = 'p';
	pid = fork();
	if (pid == 0)
		_exit(child());
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return EXIT_FAILURE;
	printf("parent: child ended with %d, the page still holds '%c', %d page faults here\n", WEXITSTATUS(status), page[0],
	       faults);

	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, thread, &rings[i]))
			return EXIT_FAILURE;
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < THREADS; i++)
		printf("thread %d: ring %ld, then ring %ld\n", i, rings[i] / 10, rings[i] % 10);
	return EXIT_SUCCESS;
}

/*
 * signals: Linux runs signal handlers in Linux mode.
 *
 * A pending signal ends the stay in Dune mode (ENTER comes back with ret = 4), the handler runs in ring 3 on a stack of Linux
 * mode, and libdune enters again where the guest was. That also works for a guest that makes no system call.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "libdune/dune.h"

static volatile sig_atomic_t ring_of_handler = -1, alarms;

static int ring(void)
{
	uint16_t cs;

	__asm__ __volatile__("mov %%cs, %0" : "=r"(cs));
	return cs & 3;
}

static void on_usr1(int sig)
{
	(void)sig;
	ring_of_handler = ring();
}

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

int main(void)
{
	struct itimerval timer = {.it_value = {.tv_usec = 2000}};

	if (dune_init_and_enter())
		return EXIT_FAILURE;
	if (dune_signal(SIGUSR1, on_usr1) == SIG_ERR || dune_signal(SIGALRM, on_alarm) == SIG_ERR)
		return EXIT_FAILURE;
	raise(SIGUSR1);
	printf("main is in ring %d, the handler ran in ring %d\n", ring(), (int)ring_of_handler);

	setitimer(ITIMER_REAL, &timer, NULL);
	while (!alarms)
		;
	printf("a loop in ring 0 was interrupted by %d alarm\n", (int)alarms);
	printf("old handler of SIGUSR1: %s\n", dune_signal(SIGUSR1, SIG_DFL) == on_usr1 ? "returned" : "lost");
	return EXIT_SUCCESS;
}

/*
 * Leaving Dune mode in every way: a child that executes another program, vfork, a breakpoint instruction, threads that
 * exit_group ends, an exception nobody handles.
 */
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libdune/dune.h"

extern char **environ;

static int wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A child in Dune mode of its own. */
static int child(void (*body)(void))
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (dune_enter())
			_exit(99);
		body();
		_exit(98);
	}
	return wait_for(pid);
}

static void breakpoint(void)
{
	__asm__ __volatile__("int3");
}
static void execute(void)
{
	execl("/proc/self/exe", "program", "again", NULL);
}
static void unhandled(void)
{
	__asm__ __volatile__("ud2");
}
static void null_pointer(void)
{
	*(volatile int *)8 = 1;
}
static void *forever(void *unused)
{
	if (dune_enter())
		exit(97);
	for (;;)
		pause();
	return unused;
}
static void with_threads(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, forever, NULL);
	exit(5);
}
static void breakpoint_handler(int sig)
{
	_exit(sig);
}
static void handled_breakpoint(void)
{
	dune_signal(SIGTRAP, breakpoint_handler);
	__asm__ __volatile__("int3");
}

int main(int argc, char **argv)
{
	char *arguments[] = {"program", "again", NULL};
	pid_t pid;

	if (argc > 1) {
		printf("executed again in ring %d\n", ({ uint16_t cs; __asm__ __volatile__("mov %%cs, %0" : "=r"(cs)); cs & 3; }));
		return 6;
	}
	(void)argv;
	if (dune_init_and_enter())
		return 1;
	printf("breakpoint: %d\n", child(breakpoint));
	printf("breakpoint with a handler for SIGTRAP: %d\n", child(handled_breakpoint));
	printf("execve in Dune mode: %d\n", child(execute));
	printf("unhandled exception: %d\n", child(unhandled));
	printf("null pointer: %d\n", child(null_pointer));
	printf("exit with another thread alive: %d\n", child(with_threads));
	fflush(stdout);
	printf("posix_spawn: %d", posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ));
	printf(", %d\n", wait_for(pid));
	return 0;
}

/* System calls above 312, which real modules refuse with EINVAL, as C libraries see them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libdune/dune.h"

static void *thread(void *argument)
{
	return argument;
}

int main(void)
{
	pthread_t id;
	struct statx result;
	char byte;

	if (dune_init_and_enter())
		return 1;
	printf("pthread_create: %s\n", strerror(pthread_create(&id, NULL, thread, NULL)));
	printf("statx: %s\n", statx(AT_FDCWD, "/", 0, STATX_BASIC_STATS, &result) ? strerror(errno) : "good");
	printf("getrandom: %s\n", syscall(SYS_getrandom, &byte, 1, 0) == 1 ? "good" : strerror(errno));
	printf("getpid: %s\n", getpid() > 0 ? "good" : strerror(errno));
	return 0;
}

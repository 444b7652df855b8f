/* Output and exit that work where stdio does not: in a handler, at any depth. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "local.h"

int dune_printf(const char *fmt, ...)
{
	char text[1024];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (len < 0)
		return len;
	if ((size_t)len >= sizeof(text))
		len = sizeof(text) - 1;
	if (dune_in_ring0())
		return dune_vmcall(SYS_write, STDOUT_FILENO, (long)text, len, 0, 0, 0);
	return write(STDOUT_FILENO, text, len);
}

void dune_die(void)
{
	if (dune_in_ring0())
		dune_vmcall(SYS_exit_group, EXIT_FAILURE, 0, 0, 0, 0, 0);
	_exit(EXIT_FAILURE);
}

void *dune_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	return (void *)dune_vmcall(SYS_mmap, (long)addr, length, prot, flags, fd, offset);
}

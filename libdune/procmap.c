/* /proc/self/maps. Reads with plain system calls: the caller may be in a handler, and may change the map as it goes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "local.h"

static int type_of(const char *path)
{
	if (!*path)
		return PROCMAP_TYPE_ANONYMOUS;
	if (*path != '[')
		return PROCMAP_TYPE_FILE;
	if (!strcmp(path, "[heap]"))
		return PROCMAP_TYPE_HEAP;
	if (!strncmp(path, "[stack", 6))
		return PROCMAP_TYPE_STACK;
	if (!strcmp(path, "[vsyscall]"))
		return PROCMAP_TYPE_VSYSCALL;
	if (!strcmp(path, "[vdso]"))
		return PROCMAP_TYPE_VDSO;
	/* Newer kernels have [vvar_vclock] beside [vvar]. */
	if (!strncmp(path, "[vvar", 5))
		return PROCMAP_TYPE_VVAR;
	return PROCMAP_TYPE_UNKNOWN;
}

/* "lo-hi rwxp offset major:minor inode path" */
static int parse(char *line, struct dune_procmap_entry *entry)
{
	char *at, *rights;
	size_t len;

	memset(entry, 0, sizeof(*entry));
	entry->begin = strtoul(line, &at, 16);
	if (*at != '-')
		return -EINVAL;
	entry->end = strtoul(at + 1, &at, 16);
	if (*at != ' ' || strlen(at) < 6)
		return -EINVAL;
	rights = at + 1;
	entry->r = rights[0] == 'r';
	entry->w = rights[1] == 'w';
	entry->x = rights[2] == 'x';
	entry->p = rights[3] == 'p';
	entry->offset = strtoul(rights + 4, &at, 16);
	/* Device and inode. */
	at += strspn(at, " ");
	at += strcspn(at, " ");
	at += strspn(at, " ");
	at += strcspn(at, " ");
	at += strspn(at, " ");
	len = strlen(at);
	if (len >= sizeof(entry->path))
		len = sizeof(entry->path) - 1;
	memcpy(entry->path, at, len);
	entry->type = type_of(entry->path);
	return 0;
}

int dune_procmap_each(int (*cb)(const struct dune_procmap_entry *entry, void *arg), void *arg)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	struct dune_procmap_entry entry;
	char buffer[4096];
	size_t held = 0;
	int result = 0;

	if (fd < 0)
		return -errno;
	while (!result) {
		ssize_t got = read(fd, buffer + held, sizeof(buffer) - 1 - held);
		char *line = buffer, *end;

		if (got <= 0) {
			result = got < 0 ? -errno : 0;
			break;
		}
		held += got;
		buffer[held] = 0;
		while (!result && (end = strchr(line, '\n'))) {
			*end = 0;
			if (!parse(line, &entry))
				result = cb(&entry, arg);
			line = end + 1;
		}
		held -= line - buffer;
		memmove(buffer, line, held);
		if (held == sizeof(buffer) - 1)
			held = 0;
	}
	close(fd);
	return result;
}

static int call(const struct dune_procmap_entry *entry, void *arg)
{
	(*(dune_procmap_cb *)arg)(entry);
	return 0;
}

void dune_procmap_iterate(dune_procmap_cb cb)
{
	dune_procmap_each(call, &cb);
}

static void print(const struct dune_procmap_entry *entry)
{
	printf("%016lx-%016lx %c%c%c%c %08lx %s\n", entry->begin, entry->end, entry->r ? 'r' : '-', entry->w ? 'w' : '-',
	       entry->x ? 'x' : '-', entry->p ? 'p' : 's', entry->offset, entry->path);
}

void dune_procmap_dump(void)
{
	dune_procmap_iterate(print);
}

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dune.h"
#include "elf.h"

static int read_at(struct dune_elf *elf, void *to, size_t len, uint64_t offset)
{
	if (elf->mem) {
		if (offset > elf->len || len > elf->len - offset)
			return -EIO;
		memcpy(to, elf->mem + offset, len);
		return 0;
	}
	while (len) {
		ssize_t got = pread(elf->fd, to, len, offset);

		if (got <= 0)
			return -EIO;
		to = (char *)to + got;
		len -= got;
		offset += got;
	}
	return 0;
}

static int check_header(const Elf64_Ehdr *hdr)
{
	if (memcmp(hdr->e_ident, ELFMAG, SELFMAG) || hdr->e_ident[EI_CLASS] != ELFCLASS64 ||
	    hdr->e_ident[EI_DATA] != ELFDATA2LSB || hdr->e_machine != EM_X86_64)
		return -EINVAL;
	if (hdr->e_phnum > DUNE_ELF_MAX_PH || hdr->e_shnum > DUNE_ELF_MAX_SH)
		return -EINVAL;
	if ((hdr->e_phnum && hdr->e_phentsize != sizeof(Elf64_Phdr)) ||
	    (hdr->e_shnum && (hdr->e_shentsize != sizeof(Elf64_Shdr) || hdr->e_shstrndx >= hdr->e_shnum)))
		return -EINVAL;
	return 0;
}

static void *read_table(struct dune_elf *elf, size_t len, uint64_t offset, int *error)
{
	/* One byte more, 0: a string table may lack its terminator. */
	char *table = calloc(1, len + 1);

	*error = table ? read_at(elf, table, len, offset) : -ENOMEM;
	if (*error) {
		free(table);
		return NULL;
	}
	return table;
}

static int load_headers(struct dune_elf *elf)
{
	const Elf64_Shdr *names;
	int error = read_at(elf, &elf->hdr, sizeof(elf->hdr), 0);

	if (!error)
		error = check_header(&elf->hdr);
	if (error)
		return error;
	elf->phdr = read_table(elf, elf->hdr.e_phnum * sizeof(Elf64_Phdr), elf->hdr.e_phoff, &error);
	if (error || !elf->hdr.e_shnum)
		return error;
	elf->shdr = read_table(elf, elf->hdr.e_shnum * sizeof(Elf64_Shdr), elf->hdr.e_shoff, &error);
	if (error)
		return error;
	names = &elf->shdr[elf->hdr.e_shstrndx];
	if (names->sh_size > 1 << 20)
		return -EINVAL;
	elf->shdrstr_len = names->sh_size;
	elf->shdrstr = read_table(elf, names->sh_size, names->sh_offset, &error);
	return error;
}

static int finish_open(struct dune_elf *elf)
{
	int error = load_headers(elf);

	if (error)
		dune_elf_close(elf);
	return error;
}

int dune_elf_open(struct dune_elf *elf, const char *path)
{
	memset(elf, 0, sizeof(*elf));
	elf->fd = open(path, O_RDONLY | O_CLOEXEC);
	return elf->fd < 0 ? -errno : finish_open(elf);
}

int dune_elf_open_mem(struct dune_elf *elf, void *mem, int len)
{
	memset(elf, 0, sizeof(*elf));
	elf->fd = -1;
	elf->mem = mem;
	elf->len = len;
	return finish_open(elf);
}

int dune_elf_close(struct dune_elf *elf)
{
	free(elf->phdr);
	free(elf->shdr);
	free(elf->shdrstr);
	if (elf->fd >= 0)
		close(elf->fd);
	elf->phdr = NULL;
	elf->shdr = NULL;
	elf->shdrstr = NULL;
	elf->fd = -1;
	return 0;
}

int dune_elf_iter_ph(struct dune_elf *elf, dune_elf_phcb cb)
{
	int i, result = 0;

	for (i = 0; !result && i < elf->hdr.e_phnum; i++)
		result = cb(elf, &elf->phdr[i]);
	return result;
}

int dune_elf_iter_sh(struct dune_elf *elf, dune_elf_shcb cb)
{
	int i, result = 0;

	for (i = 0; !result && i < elf->hdr.e_shnum; i++) {
		char name[DUNE_ELF_NAME_MAX];
		size_t at = elf->shdr[i].sh_name;

		if (at > elf->shdrstr_len)
			return -EINVAL;
		snprintf(name, sizeof(name), "%s", elf->shdrstr + at);
		result = cb(elf, name, i, &elf->shdr[i]);
	}
	return result;
}

static int dump_ph(struct dune_elf *elf, Elf64_Phdr *phdr)
{
	(void)elf;
	printf("segment type %x flags %x at %lx, offset %lx, %lx bytes in the file, %lx in memory\n", phdr->p_type,
	       phdr->p_flags, phdr->p_vaddr, phdr->p_offset, phdr->p_filesz, phdr->p_memsz);
	return 0;
}

static int dump_sh(struct dune_elf *elf, const char *name, int num, Elf64_Shdr *shdr)
{
	(void)elf;
	printf("section %d %s type %x at %lx, offset %lx, %lx bytes\n", num, name, shdr->sh_type, shdr->sh_addr,
	       shdr->sh_offset, shdr->sh_size);
	return 0;
}

int dune_elf_dump(struct dune_elf *elf)
{
	printf("entry %lx, %d segments, %d sections\n", elf->hdr.e_entry, elf->hdr.e_phnum, elf->hdr.e_shnum);
	dune_elf_iter_ph(elf, dump_ph);
	return dune_elf_iter_sh(elf, dump_sh);
}

static void *map_fixed(uintptr_t at, size_t len, int prot, int flags, int fd, off_t offset)
{
	return len ? mmap((void *)at, len, prot, MAP_FIXED | MAP_PRIVATE | flags, fd, offset) : NULL;
}

int dune_elf_load_ph(struct dune_elf *elf, Elf64_Phdr *phdr, off_t off)
{
	uintptr_t start = phdr->p_vaddr + off, file_end = start + phdr->p_filesz, end = start + phdr->p_memsz;
	uintptr_t first = PGADDR(start), file_last = PGADDR(file_end + PGMASK), last = PGADDR(end + PGMASK);
	int prot = (phdr->p_flags & PF_R ? PROT_READ : 0) | (phdr->p_flags & PF_W ? PROT_WRITE : 0) |
		   (phdr->p_flags & PF_X ? PROT_EXEC : 0);

	if (phdr->p_memsz < phdr->p_filesz || ((start ^ phdr->p_offset) & PGMASK))
		return -EINVAL;
	if (elf->mem) {
		if (map_fixed(first, last - first, PROT_READ | PROT_WRITE, MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			return -errno;
		if (read_at(elf, (void *)start, phdr->p_filesz, phdr->p_offset))
			return -EIO;
		return mprotect((void *)first, last - first, prot) ? -errno : 0;
	}
	if (map_fixed(first, file_last - first, prot, 0, elf->fd, phdr->p_offset - (start - first)) == MAP_FAILED)
		return -errno;
	/* What follows the file's bytes in their last page is zero for the program. */
	if (end > file_end && file_last > file_end) {
		if (!(prot & PROT_WRITE) && mprotect((void *)PGADDR(file_end), PGSIZE, prot | PROT_WRITE))
			return -errno;
		memset((void *)file_end, 0, file_last - file_end);
		if (!(prot & PROT_WRITE) && mprotect((void *)PGADDR(file_end), PGSIZE, prot))
			return -errno;
	}
	if (last > file_last && map_fixed(file_last, last - file_last, prot, MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		return -errno;
	return 0;
}

/* 64-bit little-endian x86-64 ELF images, for programs that load others. Results are 0 or a negative errno: -EIO when the
 * image cannot be read, -EINVAL when it is not such an image. */
#ifndef LIBDUNE_ELF_H
#define LIBDUNE_ELF_H

#include <elf.h>
#include <stddef.h>
#include <sys/types.h>

#define DUNE_ELF_MAX_PH 40
#define DUNE_ELF_MAX_SH 100
#define DUNE_ELF_NAME_MAX 40

struct dune_elf {
	int fd;
	/* The image in memory, when it was opened with dune_elf_open_mem. */
	const unsigned char *mem;
	size_t len;
	Elf64_Ehdr hdr;
	Elf64_Phdr *phdr;
	Elf64_Shdr *shdr;
	char *shdrstr;
	size_t shdrstr_len;
	void *priv;
};

typedef int (*dune_elf_phcb)(struct dune_elf *elf, Elf64_Phdr *phdr);
typedef int (*dune_elf_shcb)(struct dune_elf *elf, const char *name, int num, Elf64_Shdr *shdr);

int dune_elf_open(struct dune_elf *elf, const char *path);
int dune_elf_open_mem(struct dune_elf *elf, void *mem, int len);
int dune_elf_close(struct dune_elf *elf);
int dune_elf_dump(struct dune_elf *elf);
/* Call cb for every header until it returns something else than 0. */
int dune_elf_iter_ph(struct dune_elf *elf, dune_elf_phcb cb);
int dune_elf_iter_sh(struct dune_elf *elf, dune_elf_shcb cb);
/* Maps a PT_LOAD segment at its address plus off. */
int dune_elf_load_ph(struct dune_elf *elf, Elf64_Phdr *phdr, off_t off);

#endif

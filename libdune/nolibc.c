/*
 * What libdune wants of a C library, for programs that have none: assembly that is linked with libdune-nolibc.a. One thread; free() frees nothing;
 * printf() knows d i u x p s c z l # 0 - widths and precisions. Everything is weak, so that a program may bring its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WEAK __attribute__((weak))
#define MOST_ERRNO 4095

/* ------------------------------------------------------------------------------------------------ system calls */

static int error_number;
FILE *stderr WEAK;

WEAK int *__errno_location(void)
{
	return &error_number;
}

/* In ring 0 of Dune mode a SYSCALL becomes a VMCALL. */
static long call(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
	register long r10 __asm__("r10") = a3;
	register long r8 __asm__("r8") = a4;
	register long r9 __asm__("r9") = a5;
	long result;

	__asm__ __volatile__("syscall"
			     : "=a"(result)
			     : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
			     : "rcx", "r11", "memory");
	if (result >= 0 || result < -MOST_ERRNO)
		return result;
	error_number = -result;
	return -1;
}
#define CALL(nr, a, b, c) call(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)

WEAK int open(const char *path, int flags, ...)
{
	return CALL(SYS_open, path, flags, 0);
}
WEAK int close(int fd)
{
	return CALL(SYS_close, fd, 0, 0);
}
WEAK ssize_t read(int fd, void *buffer, size_t bytes)
{
	return CALL(SYS_read, fd, buffer, bytes);
}
WEAK ssize_t write(int fd, const void *buffer, size_t bytes)
{
	return CALL(SYS_write, fd, buffer, bytes);
}
WEAK ssize_t pread(int fd, void *buffer, size_t bytes, off_t at)
{
	return call(SYS_pread64, fd, (long)buffer, bytes, at, 0, 0);
}
WEAK void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return (void *)call(SYS_mmap, (long)at, bytes, protection, flags, fd, offset);
}
WEAK int munmap(void *at, size_t bytes)
{
	return CALL(SYS_munmap, at, bytes, 0);
}
WEAK int mprotect(void *at, size_t bytes, int protection)
{
	return CALL(SYS_mprotect, at, bytes, protection);
}
WEAK void _exit(int status)
{
	for (;;)
		CALL(SYS_exit_group, status, 0, 0);
}
WEAK void exit(int status)
{
	_exit(status);
}
WEAK int sched_getcpu(void)
{
	unsigned cpu = 0;

	return CALL(SYS_getcpu, &cpu, 0, 0) ? -1 : (int)cpu;
}
/* Asked for the number of processors only. */
WEAK long sysconf(int name)
{
	unsigned char set[1024];
	long bytes = CALL(SYS_sched_getaffinity, 0, sizeof(set), set), count = 0;

	(void)name;
	for (long i = 0; i < bytes; i++)
		for (; set[i]; set[i] &= set[i] - 1)
			count++;
	return count > 0 ? count : 1;
}

/* ------------------------------------------------------------------------------------------------ signals */

/* As the kernel has it. */
struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};
#define SA_RESTORER 0x04000000

void __dune_restore(void);
__asm__(".text\n__dune_restore:\n\tmov $15, %eax\n\tsyscall\n");

WEAK int sigemptyset(sigset_t *set)
{
	memset(set, 0, sizeof(*set));
	return 0;
}
WEAK int sigaction(int signal, const struct sigaction *wanted, struct sigaction *before)
{
	struct kernel_action now, old;

	if (wanted) {
		now.handler = wanted->sa_handler;
		now.flags = wanted->sa_flags | SA_RESTORER;
		now.restorer = __dune_restore;
		memcpy(&now.mask, &wanted->sa_mask, sizeof(now.mask));
	}
	if (call(SYS_rt_sigaction, signal, wanted ? (long)&now : 0, before ? (long)&old : 0, sizeof(old.mask), 0, 0))
		return -1;
	if (before) {
		memset(before, 0, sizeof(*before));
		before->sa_handler = old.handler;
		before->sa_flags = old.flags;
		memcpy(&before->sa_mask, &old.mask, sizeof(old.mask));
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ one thread */

WEAK int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	(void)mutex;
	return 0;
}
WEAK int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	(void)mutex;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ memory, strings */

#define CHUNK (1UL << 20)

WEAK void *malloc(size_t bytes)
{
	static char *next, *end;
	char *at;

	bytes = (bytes + 15) & ~15UL;
	if (bytes > (size_t)(end - next)) {
		size_t chunk = bytes > CHUNK ? bytes : CHUNK;

		at = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (at == MAP_FAILED)
			return NULL;
		next = at;
		end = at + chunk;
	}
	at = next;
	next += bytes;
	return at;
}
/* What comes from malloc has never been used. */
WEAK void *calloc(size_t count, size_t bytes)
{
	return malloc(count * bytes);
}
WEAK void free(void *at)
{
	(void)at;
}
WEAK void *memcpy(void *to, const void *from, size_t bytes)
{
	void *at = to;

	__asm__ __volatile__("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
	return to;
}
WEAK void *memset(void *to, int value, size_t bytes)
{
	void *at = to;

	__asm__ __volatile__("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
	return to;
}
WEAK void *memmove(void *to, const void *from, size_t bytes)
{
	char *t = to;
	const char *f = from;

	if (t <= f)
		return memcpy(to, from, bytes);
	while (bytes-- > 0)
		t[bytes] = f[bytes];
	return to;
}
WEAK int memcmp(const void *a, const void *b, size_t bytes)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < bytes; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}
WEAK int strncmp(const char *a, const char *b, size_t most)
{
	for (size_t i = 0; i < most; i++)
		if (a[i] != b[i] || !a[i])
			return (unsigned char)a[i] - (unsigned char)b[i];
	return 0;
}
WEAK int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX / 2);
}
WEAK size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}
WEAK char *strchr(const char *text, int character)
{
	for (; *text != (char)character; text++)
		if (!*text)
			return NULL;
	return (char *)text;
}
WEAK size_t strspn(const char *text, const char *of)
{
	size_t length = 0;

	while (text[length] && strchr(of, text[length]))
		length++;
	return length;
}
WEAK size_t strcspn(const char *text, const char *of)
{
	size_t length = 0;

	while (text[length] && !strchr(of, text[length]))
		length++;
	return length;
}
/* Bases up to 16. */
WEAK unsigned long strtoul(const char *text, char **end, int base)
{
	unsigned long value = 0;
	int digit;

	for (;; text++) {
		digit = *text >= 'a' ? *text - 'a' + 10 : *text >= 'A' ? *text - 'A' + 10 : *text - '0';
		if (digit < 0 || digit >= base)
			break;
		value = value * base + digit;
	}
	if (end)
		*end = (char *)text;
	return value;
}
WEAK char *strerror(int number)
{
	static char text[] = "error 0000";

	for (int i = sizeof(text) - 2; i > 5; i--, number /= 10)
		text[i] = '0' + number % 10;
	return text;
}

/* ------------------------------------------------------------------------------------------------ output */

struct out {
	char *at, *end;
	int length;
};

static void put(struct out *out, char character)
{
	if (out->at < out->end)
		*out->at++ = character;
	out->length++;
}
static void pad(struct out *out, char character, int count)
{
	while (count-- > 0)
		put(out, character);
}
static int digits(char *end, unsigned long value, int base, int least)
{
	int count = 0;

	for (; value || count < least; value /= base)
		end[-++count] = "0123456789abcdef"[value % base];
	return count;
}

/* How a value is to stand in its field. */
struct field {
	int width, precision;
	bool left, zero;
};

static void put_field(struct out *out, const struct field *field, const char *sign, const char *text, int length)
{
	int signs = strlen(sign), space = field->width - signs - length;
	bool zero = field->zero && !field->left && field->precision < 0;

	if (!field->left && !zero)
		pad(out, ' ', space);
	for (int i = 0; i < signs; i++)
		put(out, sign[i]);
	if (zero)
		pad(out, '0', space);
	for (int i = 0; i < length; i++)
		put(out, text[i]);
	if (field->left)
		pad(out, ' ', space);
}

WEAK int vsnprintf(char *text, size_t bytes, const char *format, va_list args)
{
	struct out out = {text, bytes ? text + bytes - 1 : text, 0};

	for (; *format; format++) {
		struct field field = {0, -1, false, false};
		bool alternative = false, wide = false;
		char number[24], *end = number + sizeof(number);
		const char *sign = "";
		unsigned long value;
		int length;

		if (*format != '%') {
			put(&out, *format);
			continue;
		}
		for (format++; *format && strchr("#0-", *format); format++) {
			alternative |= *format == '#';
			field.zero |= *format == '0';
			field.left |= *format == '-';
		}
		for (; *format >= '0' && *format <= '9'; format++)
			field.width = field.width * 10 + *format - '0';
		if (*format == '.')
			for (field.precision = 0, format++; *format >= '0' && *format <= '9'; format++)
				field.precision = field.precision * 10 + *format - '0';
		for (; *format == 'l' || *format == 'z'; format++)
			wide = true;
		switch (*format) {
		case 'd':
		case 'i':
			value = wide ? va_arg(args, long) : va_arg(args, int);
			if ((long)value < 0) {
				sign = "-";
				value = -value;
			}
			length = digits(end, value, 10, field.precision < 0 ? 1 : field.precision);
			put_field(&out, &field, sign, end - length, length);
			break;
		case 'p':
			wide = alternative = true;
			/* fall through */
		case 'x':
		case 'u':
			value = wide ? va_arg(args, unsigned long) : va_arg(args, unsigned);
			length = digits(end, value, *format == 'u' ? 10 : 16, field.precision < 0 ? 1 : field.precision);
			put_field(&out, &field, alternative && value ? "0x" : "", end - length, length);
			break;
		case 's': {
			const char *string = va_arg(args, const char *);

			for (length = 0; length != field.precision && string[length]; length++)
				;
			put_field(&out, &field, "", string, length);
			break;
		}
		case 'c':
			number[0] = va_arg(args, int);
			put_field(&out, &field, "", number, 1);
			break;
		default:
			put(&out, *format);
			if (!*format)
				format--;
		}
	}
	if (bytes)
		*out.at = 0;
	return out.length;
}
static int print(int fd, const char *format, va_list args)
{
	char text[1024];
	int length = vsnprintf(text, sizeof(text), format, args);

	return write(fd, text, length < (int)sizeof(text) ? length : (int)sizeof(text) - 1);
}
#define PRINT(fd)                        \
	va_list args;                    \
	int length;                      \
	va_start(args, format);          \
	length = print(fd, format, args); \
	va_end(args);                    \
	return length

WEAK int printf(const char *format, ...)
{
	PRINT(STDOUT_FILENO);
}
WEAK int fprintf(FILE *file, const char *format, ...)
{
	(void)file;
	PRINT(STDERR_FILENO);
}
WEAK int snprintf(char *text, size_t bytes, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(text, bytes, format, args);
	va_end(args);
	return length;
}
WEAK size_t fwrite(const void *from, size_t size, size_t count, FILE *file)
{
	(void)file;
	return write(STDERR_FILENO, from, size * count) < 0 ? 0 : count;
}

/*
 * Interprocessor interrupts: two threads, each pinned to a CPU and in Dune mode. One halts until a vector arrives and answers
 * with another; vectors in service hold back others of their class until the end-of-interrupt.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "libdune/dune.h"

#define PING 0xa1
#define PONG 0xb1
#define LAST 0xb0
#define ROUNDS 5

static volatile int pings, pongs, last_before_eoi, last, ready;
static volatile uint32_t ids[2];

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		exit(2);
}

static void on_ping(struct dune_tf *frame)
{
	(void)frame;
	pings++;
	dune_apic_send_ipi(PONG, ids[0]);
	if (pings == ROUNDS)
		dune_apic_send_ipi(LAST, ids[0]);
	dune_apic_eoi();
}

static void on_pong(struct dune_tf *frame)
{
	volatile int i;

	(void)frame;
	__asm__ __volatile__("sti");
	for (i = 0; i < 500000 && pings == ROUNDS; i++)
		;
	last_before_eoi = last;
	pongs++;
	dune_apic_eoi();
}

static void on_last(struct dune_tf *frame)
{
	(void)frame;
	last++;
	dune_apic_eoi();
}

static void *other(void *unused)
{
	pin(1);
	if (dune_enter())
		exit(3);
	ids[1] = dune_apic_id();
	ready = 1;
	while (pings < ROUNDS)
		__asm__ __volatile__("hlt");
	return unused;
}

int main(void)
{
	pthread_t thread;
	bool error;
	int i;

	pin(0);
	if (dune_init_and_enter())
		return 1;
	ids[0] = dune_apic_id();
	dune_register_intr_handler(PING, on_ping);
	dune_register_intr_handler(PONG, on_pong);
	dune_register_intr_handler(LAST, on_last);
	if (pthread_create(&thread, NULL, other, NULL))
		return 1;
	while (!ready)
		sched_yield();
	for (i = 0; i < ROUNDS; i++) {
		dune_apic_send_ipi(PING, ids[1]);
		while (pongs <= i)
			__asm__ __volatile__("pause");
	}
	dune_apic_send_ipi(PING, 12345); /* nobody */
	pthread_join(thread, NULL);
	while (!last)
		__asm__ __volatile__("pause");
	printf("APIC ids %u and %u; %d pings, %d pongs; of the same class before EOI: %d, after: %d\n", ids[0], ids[1], pings, pongs,
	       last_before_eoi, last);
	dune_apic_id_for_cpu(99, &error);
	printf("CPU 99 is an error: %d\n", error);
	return 0;
}

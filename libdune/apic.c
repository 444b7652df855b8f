/* x2APIC identifiers and interprocessor interrupts between threads that are pinned to their CPUs. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "local.h"

#define MSR_X2APIC_ID 0x802
#define MSR_X2APIC_EOI 0x80b
#define MSR_X2APIC_ICR 0x830
#define ICR_NMI 0x400
#define VECTOR_NMI 2
#define NO_APIC 0xffffffffu

static uint32_t *apic_of_cpu;
static uint32_t cpu_count;

static void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ __volatile__("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

uint32_t dune_apic_id(void)
{
	uint32_t low, high;

	__asm__ __volatile__("rdmsr" : "=a"(low), "=d"(high) : "c"(MSR_X2APIC_ID));
	return low;
}

uint32_t dune_apic_id_for_cpu(uint32_t cpu, bool *err)
{
	if (err)
		*err = cpu >= cpu_count;
	return cpu < cpu_count ? apic_of_cpu[cpu] : NO_APIC;
}

void dune_apic_send_ipi(uint8_t vector, uint32_t dest_apic_id)
{
	uint64_t mode = vector == VECTOR_NMI ? ICR_NMI : 0;

	wrmsr(MSR_X2APIC_ICR, (uint64_t)dest_apic_id << 32 | mode | vector);
}

void dune_apic_eoi(void)
{
	wrmsr(MSR_X2APIC_EOI, 0);
}

int dune_apic_init(void)
{
	long count = sysconf(_SC_NPROCESSORS_CONF);
	uint32_t i;

	cpu_count = count > 0 ? count : 1;
	apic_of_cpu = malloc(cpu_count * sizeof(*apic_of_cpu));
	if (!apic_of_cpu)
		return -ENOMEM;
	for (i = 0; i < cpu_count; i++)
		apic_of_cpu[i] = NO_APIC;
	return 0;
}

void dune_apic_init_rt_entry(void)
{
	int cpu = sched_getcpu();

	if (cpu >= 0 && (uint32_t)cpu < cpu_count)
		apic_of_cpu[cpu] = dune_apic_id();
}

int main(void)
{
	__asm__ volatile("mov %%cr4, %0\n\t"
		"1: pause\n\tjmp 1b" : "=r"(cr4) : [in] "r"(f(1, "text")) : "memory");
	asm("wrmsr");
	puts("mov eax");
}

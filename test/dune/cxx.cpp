// A C++ program in Dune mode: constructors, exceptions through handlers' callers, containers, streams, threads.
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "libdune/dune.h"

namespace {

struct Bytes {
	alignas(4096) unsigned char bytes[PGSIZE];
};
Bytes shared;
std::vector<uint64_t> faults;

struct Initialised {
	std::string text = "constructed before main";
} initialised;

int throwing(int depth)
{
	auto owned = std::make_unique<std::string>("unwound");

	if (depth == 0)
		throw std::runtime_error(*owned);
	return throwing(depth - 1) + 1;
}

} // namespace

int main()
{
	if (dune_init_and_enter())
		return 1;
	std::cout << initialised.text << std::endl;

	dune_register_pgflt_handler([](uintptr_t address, uint64_t code, struct dune_tf *) {
		faults.push_back(code);
		dune_vm_mprotect(pgroot, reinterpret_cast<void *>(PGADDR(address)), PGSIZE, PERM_R | PERM_W);
	});
	dune_vm_mprotect(pgroot, &shared, sizeof(shared), PERM_R);
	*const_cast<volatile unsigned char *>(shared.bytes) = 1;
	std::cout << faults.size() << " fault, code " << faults.at(0) << std::endl;

	try {
		throwing(10);
	} catch (const std::runtime_error &error) {
		std::cout << "caught in ring 0: " << error.what() << std::endl;
	}

	std::map<std::string, double> values;
	std::thread other([&values] {
		if (dune_enter() == 0)
			values["from a thread in Dune mode"] = 0.5;
	});
	other.join();
	for (const auto &[name, value] : values)
		std::cout << name << ": " << value << std::endl;
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/* byte ADDRESS: the byte that is there in the kernel's memory now, as two hexadecimal digits. */
#include "kernel.h"

int main(int argc, char **argv)
{
	struct kernel kernel;
	unsigned char byte;
	char *end;
	uint64_t addr;

	if (argc != 2)
		return 2;
	addr = strtoull(argv[1], &end, 16);
	errno = 0;
	if (*end || end == argv[1])
		cannot(argv[1]);
	open_kernel(&kernel);
	if (read_kernel(&kernel, addr, &byte, 1))
		cannot(argv[1]);
	printf("%02x\n", byte);
	return 0;
}
